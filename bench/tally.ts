// What fake proxies of a process got since the bench said what to watch for, and when the last of them had it.

import { type EnvoyType, envoyTypes } from "#discovery/order.ts";
import type { FakeEnvoy } from "./fake-envoy.ts";
import type { Response } from "./fake-messages.ts";

export type Watched =
  /** All clusters that lead to services, anew, with their endpoints. */
  | { readonly kind: "clusters" }
  /** An address among the endpoints of a service; only proxies that call it wait for it. */
  | { readonly kind: "endpoint"; readonly service: string; readonly address: string }
  /** A stream on which everything has come. */
  | { readonly kind: "complete" };

export interface Received {
  /** When the last of those that waited saw it: milliseconds of the machine's monotonic clock, which all processes share. */
  readonly at: number;
  /** How many waited. */
  readonly waited: number;
  /** Proxies that got any message. */
  readonly receivers: number;
  /** Of all messages. */
  readonly bytes: number;
  readonly resources: Readonly<Record<EnvoyType, number>>;
  /** Connections that failed and streams that ended. */
  readonly lost: number;
}

export interface Tallied {
  readonly envoy: FakeEnvoy;
  readonly services: ReadonlySet<string>;
}

export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export function tally(proxies: readonly Tallied[]) {
  let watched: Watched = { kind: "complete" };
  /** Those that wait, and for which clusters. */
  const waiting = new Map<Tallied, Set<string>>();
  const receivers = new Set<Tallied>();
  let seen = Promise.withResolvers<void>();
  let received = nothing();

  function isSeen({ envoy }: Tallied, unseen: Set<string>, { type, resources }: Response): boolean {
    switch (watched.kind) {
      case "complete":
        return envoy.isComplete;
      case "clusters":
        // The endpoints of a cluster come behind it.
        if (type === "endpoint") for (const { name } of resources) unseen.delete(name);
        return unseen.size === 0 && envoy.isComplete;
      case "endpoint": {
        const { service, address } = watched;
        return (
          type === "endpoint" &&
          resources.some(({ name, value }) => name === service && Buffer.from(value).includes(address))
        );
      }
    }
  }

  return {
    watch(what: Watched): void {
      watched = what;
      waiting.clear();
      receivers.clear();
      for (const proxy of proxies) {
        if (what.kind === "endpoint" && !proxy.services.has(what.service)) continue;
        waiting.set(proxy, new Set(what.kind === "clusters" ? proxy.envoy.clusters : []));
      }
      received = { ...nothing(), at: nowMs(), waited: waiting.size };
      seen = Promise.withResolvers();
      if (waiting.size === 0) seen.resolve();
    },
    /** What it holds is not sent again on its next stream: it has seen it when it is complete again. */
    lost(proxy: Tallied): void {
      waiting.get(proxy)?.clear();
      received.lost++;
    },
    taken(proxy: Tallied, response: Response, sizeBytes: number): void {
      const { type, resources, removed } = response;
      received.bytes += sizeBytes;
      received.resources[type] += resources.length + removed.length;
      receivers.add(proxy);
      const unseen = waiting.get(proxy);
      if (!unseen || !isSeen(proxy, unseen, response)) return;
      waiting.delete(proxy);
      received.at = nowMs();
      if (waiting.size === 0) seen.resolve();
    },
    /** Resolves when nobody waits any more. */
    seen: (): Promise<void> => seen.promise,
    received: (): Received => ({ ...received, receivers: receivers.size }),
  };
}

const nothing = () => ({
  at: 0,
  waited: 0,
  receivers: 0,
  bytes: 0,
  resources: { cluster: 0, secret: 0, endpoint: 0, listener: 0, route: 0 },
  lost: 0,
});

/** Of several processes together. */
export const together = (all: readonly Received[]): Received =>
  all.reduce<Received>(
    (sum, one) => ({
      at: Math.max(sum.at, one.at),
      waited: sum.waited + one.waited,
      receivers: sum.receivers + one.receivers,
      bytes: sum.bytes + one.bytes,
      resources: addedResources(sum.resources, one.resources),
      lost: sum.lost + one.lost,
    }),
    nothing(),
  );

function addedResources(a: Received["resources"], b: Received["resources"]): Received["resources"] {
  const sum = { ...a };
  for (const type of envoyTypes) sum[type] += b[type];
  return sum;
}
