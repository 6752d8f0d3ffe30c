// One Envoy's ADS stream once it is admitted: requests in, responses out, by the state machine of `discovery/order.ts`. While
// Envoy does not read, nothing is written: what changes meanwhile is remembered by name, and goes as it is then.

import { framed } from "#discovery/frame.ts";
import { versionOf } from "#discovery/item.ts";
import {
  absorbOrder,
  type EnvoyType,
  envoyTypeOf,
  envoyTypes,
  envoyTypeUrl,
  isSettled,
  newOrder,
  type OrderEvent,
  offerOrder,
  refusalsOfOrder,
  type TypedRefusal,
} from "#discovery/order.ts";
import { heldOf, waitingIn } from "#discovery/subscription.ts";
import type { DeltaDiscoveryRequest } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import type { ServerStream } from "#host/world.ts";
import type { Bundle } from "#proxy/bundle.ts";
import { isInboundListener } from "#proxy/names.ts";
import { changesIn, everything, type Snapshots } from "#xds/wanted.ts";

/** Responses of a type, for the proxy's insight. */
export interface Counters {
  readonly sent: number;
  readonly acknowledged: number;
  readonly rejected: number;
}

export interface Session {
  request(request: DeltaDiscoveryRequest): void;
  /** Its configuration as a whole is another one: what is in one of these. */
  replace(wanted: readonly Snapshots[]): void;
  /** Of what it should have, what has these names has changed. */
  change(wanted: readonly Snapshots[], names: ReadonlyMap<EnvoyType, readonly string[]>): void;
  /** Envoy reads again. */
  drained(): void;
  /** Nothing is in flight and nothing is due. */
  readonly isSettled: boolean;
  /** Of what Envoy has under this name, as far as it is known for sure; "": nothing. */
  versionHeld(type: EnvoyType, name: string): string;
  /** Envoy has all that it needs to take requests: settled, it has asked for all that there is, and has not refused an inbound. */
  readonly isServing: boolean;
  readonly counters: Readonly<Partial<Record<EnvoyType, Counters>>>;
  readonly refusals: readonly TypedRefusal[];
  /** How many objects Envoy has yet to get or to acknowledge. */
  readonly waiting: number;
  /** It does not read what is sent. */
  readonly isFull: boolean;
}

export interface SessionEvents {
  /** After each message either way. */
  readonly onProgress: () => void;
  readonly onCount: (type: EnvoyType, what: keyof Counters) => void;
}

export function openSession(
  stream: ServerStream,
  controlPlane: string,
  refusedBefore: readonly TypedRefusal[],
  events: SessionEvents,
): Session {
  const { onProgress, onCount } = events;
  let order = newOrder(refusedBefore);
  let snapshots: readonly Snapshots[] | undefined;
  let isFull = false;
  const counters: Partial<Record<EnvoyType, Counters>> = {};

  const count = (type: EnvoyType, what: keyof Counters): void => {
    const now = counters[type] ?? { sent: 0, acknowledged: 0, rejected: 0 };
    counters[type] = { ...now, [what]: now[what] + 1 };
    onCount(type, what);
  };
  const take = (event: OrderEvent): void => {
    order = absorbOrder(order, event);
    flush();
    onProgress();
  };
  function flush(): void {
    if (isFull) return;
    const { next, send } = offerOrder(order);
    order = next;
    for (const { type, response } of send) {
      count(type, "sent");
      // At most one response a type: it goes whole, and nothing behind it.
      if (!stream.send(framed({ ...response, typeUrl: envoyTypeUrl[type], controlPlane }))) isFull = true;
    }
  }

  return {
    request(request) {
      const type = envoyTypeOf(request.typeUrl);
      if (type && request.responseNonce !== "") count(type, request.errorDetail ? "rejected" : "acknowledged");
      take({ kind: "request", request });
    },
    replace(wanted) {
      snapshots = wanted;
      take({ kind: "changed", changes: everything(wanted) });
    },
    change(wanted, names) {
      snapshots = wanted;
      take({ kind: "changed", changes: changesIn(wanted, names) });
    },
    drained() {
      isFull = false;
      flush();
      onProgress();
    },
    get isSettled() {
      return snapshots !== undefined && !isFull && isSettled(order);
    },
    versionHeld: (type, name) => versionOf(heldOf(order.subscriptions[type], name)),
    get isServing() {
      const { subscriptions } = order;
      return (
        snapshots !== undefined &&
        !isFull &&
        isSettled(order) &&
        envoyTypes.every((type) => subscriptions[type].asked || snapshots?.every((one) => one[type].size === 0)) &&
        !refusalsOfOrder(order).some(({ type, name }) => type === "listener" && isInboundListener(name))
      );
    },
    counters,
    get refusals() {
      return refusalsOfOrder(order);
    },
    get waiting() {
      return envoyTypes.reduce((sum, type) => sum + waitingIn(order.subscriptions[type]), 0);
    },
    get isFull() {
      return isFull;
    },
  };
}

/** Whether Envoy has acknowledged all of it as it is now. What is computed may be ahead of what was sent. */
export const isHeld = (session: Pick<Session, "versionHeld">, bundle: Bundle = []): boolean =>
  bundle.length > 0 && bundle.every(({ type, item }) => session.versionHeld(type, item.name) === item.version);
