// An Envoy's side of delta ADS, without I/O: what it asks for and when, as recorded of real ones (test/recorded/dp-server).
//
//   start       clusters ─► their endpoints ─► their secrets ─► listeners ─► routes: each when the one before is there
//   later       a cluster is acknowledged when it is warm, that is, when its endpoints have come after it
//   refused     a response with one thing that it refuses is refused as a whole
//   new stream  everything again at once, by name, with the versions that it holds

import { type EnvoyType, envoyTypes } from "#discovery/order.ts";
import { noReferences, type References, type Request, type Resource, type Response } from "./fake-messages.ts";

export interface FakeEnvoyOptions {
  readonly node: NonNullable<Request["node"]>;
  /** Why it does not take a resource; absent: it takes all. */
  readonly refuses?: (type: EnvoyType, name: string) => string | undefined;
}

export interface FakeEnvoy {
  /** A new stream: asks for what it needs, at the first one step by step. */
  open(send: (type: EnvoyType, request: Request) => void): void;
  receive(response: Response): void;
  /** It has everything that it asked for on this stream, listeners included, and has acknowledged it. */
  readonly isComplete: boolean;
  /** Clusters that take their endpoints over EDS. */
  readonly clusters: ReadonlySet<string>;
}

/** A message costs what is in it, however much there is besides. */
export function fakeEnvoy({ node, refuses }: FakeEnvoyOptions): FakeEnvoy {
  const held = byType(() => new Map<string, Resource>());
  const asked = byType(() => new Set<string>());
  /** What it was told does not exist. */
  const missing = byType(() => new Set<string>());
  /** What it has asked for and knows nothing of yet. */
  const awaited = byType(() => new Set<string>());
  /** How many of its clusters and listeners refer to a name; and names to which none does any more. */
  const referred = { secret: new Map<string, number>(), route: new Map<string, number>() };
  const unreferred = { secret: new Set<string>(), route: new Set<string>() };
  /** Types in the order in which it came to ask for them. */
  const subscribed = new Set<EnvoyType>();
  const greeted = new Set<EnvoyType>();
  const clusters = new Set<string>();
  let send: (type: EnvoyType, request: Request) => void = () => {};
  let unwarmed: { readonly nonce: string; readonly waitsFor: Set<string> } | undefined;

  function ask(type: EnvoyType, names: Iterable<string>): void {
    const fresh: string[] = [];
    for (const name of names) {
      if (asked[type].has(name)) continue;
      fresh.push(name);
      asked[type].add(name);
      if (!held[type].has(name) && !missing[type].has(name)) awaited[type].add(name);
    }
    if (fresh.length === 0) return;
    subscribed.add(type);
    send(type, { resourceNamesSubscribe: fresh });
  }

  function askAll(type: "cluster" | "listener", request: Request = {}): void {
    subscribed.add(type);
    send(type, request);
  }

  const hasAll = (type: EnvoyType): boolean => awaited[type].size === 0;

  /** A cluster or listener refers to these now, and no more to those of before. */
  function refer(before: References = noReferences, after: References = noReferences): void {
    if (before === after) return;
    for (const type of ["secret", "route"] as const) {
      const counts = referred[type];
      for (const name of after[type]) {
        counts.set(name, (counts.get(name) ?? 0) + 1);
        unreferred[type].delete(name);
      }
      for (const name of before[type]) {
        const left = (counts.get(name) ?? 0) - 1;
        if (left > 0) {
          counts.set(name, left);
          continue;
        }
        counts.delete(name);
        unreferred[type].add(name);
      }
    }
  }

  function forget(type: EnvoyType, name: string): void {
    asked[type].delete(name);
    awaited[type].delete(name);
    held[type].delete(name);
  }

  /** What nothing refers to any more is asked for no longer. */
  function leave(type: "secret" | "route"): void {
    const left = [...unreferred[type]].filter((name) => asked[type].has(name));
    unreferred[type].clear();
    if (left.length === 0) return;
    for (const name of left) forget(type, name);
    send(type, { resourceNamesUnsubscribe: left });
  }

  /** One request for each. */
  function askSecrets(): void {
    for (const name of referred.secret.keys()) ask("secret", [name]);
  }

  /** The next step of its start, if what that needs is there. */
  function goOn(): void {
    if (!greeted.has("cluster") || !hasAll("endpoint")) return;
    askSecrets();
    if (hasAll("secret") && !subscribed.has("listener")) askAll("listener");
  }

  function take({ type, nonce, resources, removed }: Response): void {
    for (const resource of resources) {
      const { name } = resource;
      refer(held[type].get(name)?.refers, resource.refers);
      held[type].set(name, resource);
      missing[type].delete(name);
      awaited[type].delete(name);
    }
    for (const name of removed) {
      refer(held[type].get(name)?.refers, undefined);
      held[type].delete(name);
      missing[type].add(name);
      awaited[type].delete(name);
    }
    greeted.add(type);
    switch (type) {
      case "cluster":
        takeClusters(nonce, resources, removed);
        return;
      case "endpoint":
        // That there are none is an answer, too: the cluster goes on without.
        for (const { name } of resources) unwarmed?.waitsFor.delete(name);
        for (const name of removed) unwarmed?.waitsFor.delete(name);
        if (unwarmed?.waitsFor.size === 0) {
          send("cluster", { responseNonce: unwarmed.nonce });
          unwarmed = undefined;
        }
        break;
      case "listener":
        leave("route");
        leave("secret");
        ask(
          "route",
          resources.flatMap(({ refers }) => refers.route),
        );
        askSecrets();
        break;
      case "secret":
      case "route":
        break;
    }
    const isStart = !subscribed.has("listener");
    if (isStart && type === "endpoint") goOn();
    send(type, { responseNonce: nonce });
    if (isStart) goOn();
  }

  function takeClusters(nonce: string, changed: readonly Resource[], removed: readonly string[]): void {
    const warming: string[] = [];
    const left: string[] = [];
    for (const name of removed) if (clusters.delete(name)) left.push(name);
    for (const { name, refers } of changed) {
      if (refers.isDiscovered) {
        clusters.add(name);
        warming.push(name);
      } else if (clusters.delete(name)) left.push(name);
    }
    for (const name of left) {
      forget("endpoint", name);
      unwarmed?.waitsFor.delete(name);
    }
    if (left.length > 0) send("endpoint", { resourceNamesUnsubscribe: left });
    ask("endpoint", warming);
    leave("secret");
    // While it starts it acknowledges at once.
    if (warming.length > 0 && subscribed.has("listener")) unwarmed = { nonce, waitsFor: new Set(warming) };
    else send("cluster", { responseNonce: nonce });
    goOn();
  }

  return {
    open(sendOn) {
      send = sendOn;
      unwarmed = undefined;
      greeted.clear();
      for (const type of envoyTypes) {
        missing[type].clear();
        for (const name of asked[type]) if (!held[type].has(name)) awaited[type].add(name);
      }
      if (subscribed.size === 0) return askAll("cluster", { node });
      let isFirst = true;
      for (const type of subscribed) {
        send(type, {
          ...(isFirst && { node }),
          resourceNamesSubscribe: [...asked[type]],
          initialResourceVersions: Object.fromEntries([...held[type]].map(([name, { version }]) => [name, version])),
        });
        isFirst = false;
      }
    },
    receive(response) {
      const { type, nonce, resources } = response;
      const reasons = refuses ? resources.flatMap(({ name }) => refuses(type, name) ?? []) : [];
      if (reasons.length > 0)
        send(type, { responseNonce: nonce, errorDetail: { code: 13, message: reasons.join(", ") } });
      else take(response);
    },
    get isComplete() {
      return greeted.has("cluster") && greeted.has("listener") && unwarmed === undefined && envoyTypes.every(hasAll);
    },
    clusters,
  };
}

const byType = <V>(make: () => V): Record<EnvoyType, V> => ({
  cluster: make(),
  secret: make(),
  endpoint: make(),
  listener: make(),
  route: make(),
});
