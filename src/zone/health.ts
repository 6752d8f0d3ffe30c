// The health of applications and Envoys, as Envoys of this zone report it (HDS): who may report, and what becomes of it in the Dataplane.
//
//   report that is news ─► inbounds Ready or NotReady ─► store ─► endpoints of all clients, other zones
//
// A Dataplane that is written by somebody else meanwhile gets what was last reported again.

import type { Health } from "#discovery/health.ts";
import { socketAddress } from "#envoy/address.ts";
import type { AddressJson } from "#gen/envoy/config/core/v3/address_pb.ts";
import type { HealthCheckRequest } from "#gen/envoy/service/health/v3/hds_pb.ts";
import type { Log } from "#host/log.ts";
import { type Clock, grpcCode, type ServerStream } from "#host/world.ts";
import { portIn } from "#lib/address.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Issue } from "#lib/issue.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import { withHealth } from "#owned/probed-state.ts";
import { statusKey } from "#owned/proxy-insight.ts";
import { announcesLeaving } from "#proxy/features.ts";
import { reporterKey } from "#proxy/probes.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { describeId, keyOf, type Resource, type ResourceId } from "#resources/resource.ts";
import type { Edit, Store } from "#resources/store.ts";
import type { Checking } from "#xds/health-server.ts";
import { broughtBy, identityOf, jsonOf, refused, tokenOf } from "#zone/claims.ts";
import { keptWrites } from "#zone/kept-writes.ts";
import type { RefusedProxies } from "#zone/refused-proxies.ts";
import { superseded } from "#zone/returns.ts";
import type { TokenCheck } from "#zone/token-check.ts";
import { tokenWatch } from "#zone/token-watch.ts";
import type { ZoneEvidence } from "#zone/zone-evidence.ts";

export interface HealthOptions {
  readonly zone: string;
  readonly store: Pick<Store, "get" | "watch" | "write">;
  readonly clock: Pick<Clock, "now" | "alarm">;
  readonly log: Log;
  readonly tokens: TokenCheck;
  readonly refusedProxies: Pick<RefusedProxies, "record">;
  readonly validate: (resource: Resource) => readonly Issue[];
  /** It takes no new requests any more, however well it is. */
  readonly isLeaving: (id: ResourceId) => boolean;
  /** What an ingress or egress finds of other zones; `undefined`: it reports no more. */
  readonly onZones: ZoneEvidence["said"];
}

/** Those that come back to a lost store are stored after 32 s at most. */
const storedWithinMs = 60_000;

export function health(options: HealthOptions) {
  const { zone, store, clock, log, tokens, refusedProxies, validate, isLeaving, onZones } = options;
  /** The newest stream of each, by `reporterKey`: what an older one said holds until this one says something. */
  const streams = new Map<string, symbol>();
  /** Last reported on the streams that are open, by `reporterKey`. */
  const reported = new Map<string, Health>();
  const kept = keptWrites(options);
  const shownTokens = tokenWatch(store, tokens);
  const unwatch = store.watch(({ changes }) => {
    for (const { id, after } of changes) {
      if (!after) continue;
      if (id.kind === "Dataplane") apply(id);
      unstored.get(statusKey(id))?.end();
    }
  });
  /** Those that wait, by `statusKey`. */
  const unstored = new Map<string, { end(error?: unknown): void }>();

  /** Proxies come here and to discovery at the same time: what one brings is stored there, and here only looked at. */
  async function admit(first: HealthCheckRequest, stream: ServerStream): Promise<Checking> {
    try {
      return await letIn(first, stream);
    } catch (error) {
      if (error !== superseded)
        refusedProxies.record({ at: "health", proxy: first.node?.id, peer: stream.peer }, error);
      throw error;
    }
  }

  async function letIn({ node }: HealthCheckRequest, stream: ServerStream): Promise<Checking> {
    if (!node?.id) throw refused("the first request of a stream must carry the node with its id");
    const metadata = jsonOf(node.metadata);
    const token = tokenOf(stream);
    const { "dataplane.proxyType": type } = metadata;
    const kind = type === "ingress" ? "ZoneIngress" : type === "egress" ? "ZoneEgress" : "Dataplane";
    const isOfZone = kind !== "Dataplane";
    const id = { kind, ...identityOf(node.id) };
    const shown = { token, at: clock.now(), since: shownTokens.moment };
    const proxy = broughtBy(metadata, id, zone, validate) ?? store.get(id);
    if (!proxy) throw refused(`${describeId(id)} does not exist: the proxy must bring it, or it must be applied first`);
    await tokens.checkBrought(proxy, token);
    const key = reporterKey(id);
    // What it is to check follows from what is stored: told less, Envoy would begin anew with the rest, and call all unhealthy meanwhile.
    if (!store.get(id)) await untilStored(id);
    const letGo = shownTokens.hold({
      ...{ ...shown, proxy },
      onRefused(error) {
        const message = refusedProxies.record({ at: "health", proxy: keyOf(id), peer: stream.peer }, error);
        stream.end({ code: grpcCode.unknown, message });
      },
    });
    const self = Symbol(key);
    streams.set(key, self);
    return {
      key,
      admin: announces(metadata, announcesLeaving) ? undefined : adminOf(metadata),
      isTransparent:
        !isOfZone &&
        (isObject(metadata.transparentProxy) || asDataplane(proxy).spec.networking?.transparentProxying !== undefined),
      onHealth(health) {
        if (streams.get(key) !== self) return;
        reported.set(key, health);
        if (isOfZone) onZones(key, health);
        else apply(id);
      },
      onGone() {
        letGo();
        if (streams.get(key) !== self) return;
        streams.delete(key);
        if (reported.delete(key) && isOfZone) onZones(key, undefined);
      },
    };
  }

  /** Discovery is to store it. */
  function untilStored(id: ResourceId): Promise<void> {
    const waiting = statusKey(id);
    unstored.get(waiting)?.end(superseded);
    return new Promise((resolve, reject) => {
      const end = (error?: unknown): void => {
        cancel();
        unstored.delete(waiting);
        if (error === undefined) resolve();
        else reject(error);
      };
      const what = `${describeId(id)} is not there: its discovery stream has not come, or was refused`;
      const cancel = clock.alarm(clock.now() + storedWithinMs, () =>
        end(new KodiakError({ kind: "unavailable", what })),
      );
      unstored.set(waiting, { end });
    });
  }

  function apply(id: ResourceId): void {
    if (editsOf(id).length === 0) return;
    const health = Object.fromEntries(reported.get(keyOf(id)) ?? []);
    log.info({ dataplane: keyOf(id), health }, "what is probed has changed");
    // Somebody else's commit meanwhile brings us here again.
    kept.write(`the health of ${describeId(id)}`, () => editsOf(id));
  }

  function editsOf(id: ResourceId): readonly Edit[] {
    const health = reported.get(keyOf(id));
    const dataplane = health && store.get(id);
    if (!dataplane || isLeaving(id)) return [];
    const resource = withHealth(dataplane, health);
    if (resource === dataplane) return [];
    return [{ kind: "put", resource, expected: { modificationTime: dataplane.modificationTime } }];
  }

  return {
    admit,
    stop(): void {
      unwatch();
      kept.stop();
      shownTokens.stop();
    },
  };
}

const announces = ({ features }: JsonObject, feature: string): boolean =>
  Array.isArray(features) && features.includes(feature);

/** Where Envoy's admin interface is, as the bootstrap said. */
function adminOf(metadata: JsonObject): AddressJson | undefined {
  const { "dataplane.admin.socketPath": path, "dataplane.admin.address": address } = metadata;
  const port = portIn(metadata["dataplane.admin.port"]);
  if (typeof path === "string" && path !== "") return { pipe: { path } };
  if (typeof address !== "string" || port === undefined) return undefined;
  return socketAddress({ address, port });
}
