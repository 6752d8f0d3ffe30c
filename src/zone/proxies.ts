// Proxies of this zone as they come and go: who is let in, what they bring into the store, and what is known of them.
//
//   first request ─► token and resource checked ─► store ─► admitted ─► gone ─► (10 s) ─► what it brought is deleted
//        └─ comes back, and nothing is remembered of any ─► (32 s) ┘

import type { DeltaDiscoveryRequest } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import type { ServerStream } from "#host/world.ts";
import type { Source } from "#incremental/collection.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Issue } from "#lib/issue.ts";
import { closedInsight } from "#owned/online.ts";
import { withProbedState } from "#owned/probed-state.ts";
import { type Holds, holdsIn, type RefusalStatus, refusalsIn, statusKey } from "#owned/proxy-insight.ts";
import { egressMarkKey } from "#proxy/egress-collections.ts";
import { kindNamed } from "#resources/kinds.ts";
import { completeLabels, type Place } from "#resources/labels.ts";
import { describeId, keyOf, label, type Resource, type ResourceId } from "#resources/resource.ts";
import type { Edit, Store } from "#resources/store.ts";
import type { Mark } from "#topology/provider.ts";
import type { Admitted } from "#xds/server.ts";
import { notReady, withZoneTag } from "#zone/brought.ts";
import { broughtBy, identityOf, jsonOf, refused, tokenOf } from "#zone/claims.ts";
import { type ConnectedProxiesOptions, connectedProxies, holdsNothing } from "#zone/connected-proxies.ts";
import { keptWrites } from "#zone/kept-writes.ts";
import { presence } from "#zone/presence.ts";
import { kindsOfProxies, proxyNotes } from "#zone/proxy-notes.ts";
import { returns, superseded } from "#zone/returns.ts";
import type { TokenCheck } from "#zone/token-check.ts";
import { tokenWatch } from "#zone/token-watch.ts";

export interface ProxiesOptions extends Omit<ConnectedProxiesOptions, "presences" | "shownTokens"> {
  readonly place: Extract<Place, { kind: "zone" }>;
  readonly store: Store;
  /** Dataplanes and egresses whose Envoys do not serve yet. */
  readonly marked: Source<Mark>;
  /** `frozenSince` says something else than before. */
  readonly onFrozen: () => void;
  readonly tokens: TokenCheck;
  readonly validate: (resource: Resource) => readonly Issue[];
}

export function proxies(options: ProxiesOptions) {
  const { place, store, clock, log, statuses, marked, touch, tokens, validate, refusedProxies } = options;
  const notes = proxyNotes(store);
  /** Proxies that were there at some time, or may have been, and whether they brought what they are. */
  const known = new Map<string, { readonly id: ResourceId; readonly isOwn: boolean }>();
  for (const id of notes.earlier()) known.set(statusKey(id), { id, isOwn: notes.isBrought(id) });
  for (const one of [...store.list("Dataplane"), ...store.list("ZoneEgress")])
    if (notes.isRefused(one)) setMark(one, "refused");
  const shownTokens = tokenWatch(store, tokens);
  let frozenSince: number | undefined;
  const presences = presence({
    clock,
    expected: [...known.keys()],
    setMark(proxy, mark) {
      const id = known.get(proxy)?.id;
      if (id && setMark(id, mark)) touch();
    },
    forget,
    onFrozen(since) {
      frozenSince = since;
      options.onFrozen();
      if (since === undefined) log.info({}, "proxies are back: what is known of them holds again");
      else
        log.warn(
          { since: new Date(since).toISOString() },
          "most proxies are away at once, so it is this control plane that cannot be reached: nothing is concluded until some are back",
        );
    },
  });
  const kept = keptWrites(options);
  const returning = returns({
    ...{ store, clock, isRemembered: known.size > 0 },
    onBegin: () =>
      log.warn(
        {},
        "proxies come back that this store does not remember: they keep what they have until the others must have come, too, for 32 s",
      ),
  });
  const connected = connectedProxies({ ...options, presences, shownTokens });
  const unwatch = store.watch(({ changes }) => {
    for (const { id, before, after } of changes) {
      if (after) continue;
      const proxy = statusKey(id);
      if (kindsOfProxies.includes(id.kind) && before?.labels[label.origin] !== "global") returning.remembers();
      presences.removed(proxy);
      if (options.leads.removed(id)) touch();
      // Not before it is gone: one that is away would take traffic again.
      if (!connected.has(proxy)) setMark(id, undefined);
      // Who writes it by hand later keeps it.
      if (notes.edits(id, noNotes).length > 0)
        kept.write(`what is noted of ${describeId(id)}, which is deleted`, () =>
          store.get(id) ? [] : notes.edits(id, noNotes),
        );
    }
  });
  function setMark(id: ResourceId, mark: Mark | undefined): boolean {
    const key = markKeyOf(id);
    if (key === undefined || marked.get(key) === mark) return false;
    marked.set(key, mark);
    return true;
  }
  /** They have said that they leave. A stream of theirs that breaks and comes back meanwhile brings them no traffic again. */
  const leaving = new Set<string>();

  async function admit(first: DeltaDiscoveryRequest, stream: ServerStream): Promise<Admitted> {
    try {
      return await letIn(first, stream);
    } catch (error) {
      if (error !== superseded)
        refusedProxies.record({ at: "stream", proxy: first.node?.id, peer: stream.peer }, error);
      throw error;
    }
  }

  async function letIn(first: DeltaDiscoveryRequest, stream: ServerStream): Promise<Admitted> {
    const node = first.node;
    if (!node?.id) throw refused("the first request of a stream must carry the node with its id");
    const metadata = jsonOf(node.metadata);
    const token = tokenOf(stream);
    const { mesh, name } = identityOf(node.id);
    const shown = { token, at: clock.now(), since: shownTokens.moment };
    const kind = kindOfProxy.get(metadata["dataplane.proxyType"]) ?? "Dataplane";
    const id = { kind, mesh, name };
    const brought = broughtBy(metadata, id, place.zone, validate);
    const resource = brought ?? store.get(id);
    if (!resource)
      throw refused(
        `${kind} "${name}" does not exist: the proxy must bring its definition, or it must be applied first`,
      );
    await tokens.checkBrought(resource, token);
    const proxy = statusKey(id);
    const existing = store.get(id);
    returning.supersede(proxy);
    known.set(proxy, { id, isOwn: brought !== undefined });
    // An Envoy that brings nothing of an earlier stream has just started: others hear of it when it serves.
    const isResumed = Object.keys(first.initialResourceVersions).length > 0;
    presences.comes(proxy, !isResumed);
    try {
      const isReturn = isResumed && !existing && returning.isOpen() && !leaving.has(proxy);
      if (brought && isReturn) await returnTogether(brought);
      else if (brought) await store.write(editsOfBringing(completed(brought, existing, !isResumed)));
      else {
        const edits = notes.edits(id, noNotes);
        if (edits.length > 0) await store.write(edits);
      }
    } catch (error) {
      if (error !== superseded) presences.turnedAway(proxy);
      throw error;
    }
    presences.begins(proxy);
    // An Envoy that starts anew may take what another one refused.
    const before = isResumed ? { refusals: refusedBefore(id), holds: heldBefore(id) } : startsAnew;
    return connected.admitted(id, metadata, before, stream, { ...shown, proxy: resource });
  }

  const refusedBefore = (id: ResourceId): readonly RefusalStatus[] =>
    statuses.get(statusKey(id))?.refusals ?? refusalsIn(store.get({ ...id, kind: `${id.kind}Insight` }));

  const heldBefore = (id: ResourceId): Holds =>
    statuses.get(statusKey(id))?.holds ?? holdsIn(store.get({ ...id, kind: `${id.kind}Insight` }));

  /** What a proxy brought goes with it. What was there without it stays, marked. */
  function forget(proxy: string): void {
    const { id, isOwn } = known.get(proxy) ?? {};
    if (!id) return;
    leaving.delete(proxy);
    const isAway = () => !connected.has(proxy);
    if (!isOwn) {
      kept.write(`that ${describeId(id)} is away`, () => (isAway() ? editsOfAway(id) : []));
      return;
    }
    // The insight of a proxy that has not been there since this control plane started is nobody else's to delete.
    const insight = { ...id, kind: `${id.kind}Insight` };
    const isEarlier = !statuses.get(proxy) && store.get(insight) !== undefined;
    statuses.set(proxy, undefined);
    known.delete(proxy);
    touch();
    const edits: readonly Edit[] = [
      { kind: "delete", id },
      ...(isEarlier ? [{ kind: "delete" as const, id: insight }] : []),
    ];
    kept.write(`the end of ${describeId(id)}`, () => (known.has(proxy) ? [] : edits));
  }

  /** Of a proxy that a user wrote. One that was there when this control plane ended, and is not any more, is not online. */
  function editsOfAway(id: ResourceId): readonly Edit[] {
    const insight = statuses.get(statusKey(id)) ? undefined : store.get({ ...id, kind: `${id.kind}Insight` });
    const isRefused = marked.get(markKeyOf(id) ?? "") === "refused";
    return [
      ...(insight ? [{ kind: "put" as const, resource: closedInsight(insight, clock.now()) }] : []),
      ...(isRefused ? notes.edits(id, { refused: true }) : []),
    ];
  }

  async function returnTogether(brought: Resource): Promise<void> {
    try {
      await returning.wait(statusKey(brought), brought, () => {
        options.leads.returns(brought);
        return editsOfPutting(completed(brought, store.get(brought), false));
      });
    } catch (error) {
      if (error !== superseded) options.leads.removed(brought);
      throw error;
    }
  }

  const editsOfPutting = (resource: Resource): readonly Edit[] => [
    { kind: "put", resource },
    ...notes.edits(resource, { brought: true, refused: false }),
  ];
  const editsOfBringing = (resource: Resource): readonly Edit[] =>
    leaving.has(statusKey(resource)) ? [withdrawal(resource)] : editsOfPutting(resource);

  function completed(brought: Resource, existing: Resource | undefined, hasJustStarted: boolean): Resource {
    const labels = completeLabels(place, kindNamed(brought.kind), brought);
    if (brought.kind !== "Dataplane") {
      // What an ingress offers is this control plane's business; a proxy that comes again does not take it away.
      const services = existing?.spec.availableServices;
      return {
        ...brought,
        labels,
        spec: { ...brought.spec, ...(services !== undefined && { availableServices: services }) },
      };
    }
    const spec = withZoneTag(brought.spec, place.zone);
    return withProbedState({ ...brought, labels, spec }, existing, hasJustStarted);
  }

  /** New requests go elsewhere from here on. Resolves when the store says so, which is when other proxies are told. */
  async function leave(id: ResourceId, token: string): Promise<void> {
    const proxy = statusKey(id);
    const resource = returning.of(proxy) ?? store.get(id);
    if (!resource) throw new KodiakError({ kind: "not-found", what: describeId(id) });
    await tokens.check(resource, token);
    leaving.add(proxy);
    const waits = returning.of(proxy);
    returning.supersede(proxy);
    // Its end is one only for those who have been told of it.
    if (waits) await store.write(editsOfPutting(completed(waits, store.get(id), false)));
    const stored = store.get(id);
    if (stored) await store.write([withdrawal(stored)]);
  }

  return {
    admit,
    leave,
    /** As most proxies are away at once, nothing is concluded since then; `undefined`: it is. */
    frozenSince: () => frozenSince,
    /** What Envoys refuse now. */
    refusals: () =>
      [...statuses.keys()].flatMap((proxy) =>
        (statuses.get(proxy)?.refusals ?? []).map(({ type }) => ({ kind: type, reason: "proxy" as const })),
      ),
    isLeaving: (id: ResourceId): boolean => leaving.has(statusKey(id)),
    /** One that starts anew does not leave any more. */
    begin(id: ResourceId): void {
      const proxy = statusKey(id);
      if (leaving.delete(proxy)) presences.left(proxy);
    },
    /** Nothing that proxies brought is deleted for the loss of this control plane. */
    stop(): void {
      unwatch();
      kept.stop();
      returning.stop();
      shownTokens.stop();
      connected.stop();
      presences.stop();
    },
  };
}

const kindOfProxy = new Map<unknown, string>([
  ["ingress", "ZoneIngress"],
  ["egress", "ZoneEgress"],
]);

/** An ingress or egress that leaves is no way into or out of this zone; instances stay known while they finish what they have begun. */
function withdrawal(resource: Resource): Edit {
  const { kind, mesh, name } = resource;
  return kind === "Dataplane"
    ? { kind: "put", resource: notReady(resource) }
    : { kind: "delete", id: { kind, mesh, name } };
}

/** Of an ingress it is other zones that find out. */
function markKeyOf(id: ResourceId): string | undefined {
  if (id.kind === "Dataplane") return keyOf(id);
  return id.kind === "ZoneEgress" ? egressMarkKey(id.name) : undefined;
}

const noNotes = { brought: false, refused: false };
const startsAnew = { refusals: [], holds: holdsNothing };
