// Which store a stock global has: the one that its Config `kuma-cluster-id` names. A zone that has something to lose applies
// nothing before that is known, or has not come in time. Of a stock zone's store nothing is known.

import type { Position } from "#discovery/link.ts";
import type { DeltaDiscoveryResponse } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import type { Clock } from "#host/world.ts";
import { decodeResource } from "#kds/codec.ts";
import type { Kind } from "#resources/kind.ts";

export interface StockStore {
  /** Each response of a peer that does not say which store it has. */
  received(response: DeltaDiscoveryResponse): void;
  isReady(): boolean;
  position(): Position | undefined;
  ended(): void;
}

/** A stock global answers everything within its first second. */
const patienceMs = 5_000;

export interface StockStoreOptions {
  readonly config: Kind | undefined;
  readonly clock: Clock;
  /** Whether there is something of the peer's here. */
  readonly hasSomething: boolean;
  readonly onReady: () => void;
}

export function stockStore({ config, clock, hasSomething, onReady }: StockStoreOptions): StockStore {
  let cluster: string | undefined;
  let state: "begins" | "waits" | "done" = config && hasSomething ? "begins" : "done";
  let cancel: (() => void) | undefined;

  function done(): void {
    cancel?.();
    state = "done";
    onReady();
  }

  return {
    received(response) {
      if (state === "begins") {
        state = "waits";
        cancel = clock.alarm(clock.now() + patienceMs, done);
      }
      if (!config || response.typeUrl !== config.name) return;
      const all = response.resources.map(({ resource }) => decodeResource(config, resource?.value ?? new Uint8Array()));
      const { spec } = all.map(({ resource }) => resource).find(({ name }) => name === "kuma-cluster-id") ?? {};
      if (typeof spec?.config === "string") cluster = spec.config;
      if (state === "waits") done();
    },
    isReady: () => state !== "waits",
    position() {
      const store = `kuma:${cluster}`;
      return cluster === undefined ? undefined : { store, opening: store, revision: 0 };
    },
    ended: () => cancel?.(),
  };
}
