// The subscriptions of one Envoy, in the order that makes before it breaks. No rounds are kept: each name waits for what
// it needs, and a change that arrives meanwhile joins.
//
//   clusters, secrets          at once
//   endpoints                  as soon as Envoy asks; once more behind a cluster that is sent again
//   listeners, routes          when Envoy has acknowledged the clusters they refer to
//   removal of a cluster       when no listener or route that Envoy may still have refers to it
//   removal of its endpoints   when the cluster is acknowledged without them
//
// Envoy acknowledges clusters only when they are warm, that is, with their endpoints: endpoints never wait for that. One that is told
// meanwhile that there are none is warm, too, and in use with none: what a cluster on its way came with stays until it is acknowledged.

import { type Holding, type Item, type Wanted, withKept } from "#discovery/item.ts";
import { eventsOf, type Request } from "#discovery/request.ts";
import {
  absorb,
  type Behind,
  type Event,
  type Gate,
  hasAllWanted,
  hasWanted,
  heldOf,
  newSubscription,
  offer,
  type Push,
  type Refusal,
  refusalsOf,
  type Subscription,
} from "#discovery/subscription.ts";
import type { DeltaDiscoveryRequest } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";

/** The types that are served, in the order in which they go out. */
export const envoyTypes = ["cluster", "secret", "endpoint", "listener", "route"] as const;
export type EnvoyType = (typeof envoyTypes)[number];

export const envoyTypeUrl: Readonly<Record<EnvoyType, string>> = {
  cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  secret: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
  /** An assignment has the name of its cluster. */
  endpoint: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  route: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
};

export const envoyTypeOf = (typeUrl: string): EnvoyType | undefined =>
  envoyTypes.find((type) => envoyTypeUrl[type] === typeUrl);

export interface Order {
  readonly subscriptions: Readonly<Record<EnvoyType, Subscription>>;
  /** The endpoints that are wanted, and those that are not any more, of clusters that Envoy may still warm or use as they were. */
  readonly endpoints: { readonly wanted: Wanted | undefined; readonly kept: ReadonlyMap<string, Item> };
  readonly lastNonce: number;
  /** Envoy brought something from an earlier stream, so it may have listeners that it has not named yet. */
  readonly isResumed: boolean;
}

export type EnvoyRequest = Request & Pick<DeltaDiscoveryRequest, "typeUrl">;

export type OrderEvent =
  | { readonly kind: "request"; readonly request: EnvoyRequest }
  /** One consistent set: a listener or route refers to clusters of the same change, or of an earlier one if it is not in this. */
  | { readonly kind: "changed"; readonly changes: ReadonlyMap<EnvoyType, Change> };

export interface Change {
  readonly wanted: Wanted;
  readonly names: Iterable<string> | "everything";
}

export interface TypedPush {
  readonly type: EnvoyType;
  readonly response: Push;
}

export interface OrderStep {
  readonly next: Order;
  /** To be written in this order. */
  readonly send: readonly TypedPush[];
}

export type TypedRefusal = Refusal & { readonly type: EnvoyType };

const noneKept: ReadonlyMap<string, Item> = new Map();

/** `refusedBefore`: by the same Envoy, on an earlier stream. It would take a cluster that it has refused for known, and say so. */
export function newOrder(refusedBefore: readonly TypedRefusal[] = []): Order {
  const empty = (type: EnvoyType): Subscription =>
    newSubscription({
      answersMissing: true,
      refusedBefore: new Map(refusedBefore.filter((one) => one.type === type).map((one) => [one.name, one])),
    });
  return {
    subscriptions: {
      cluster: empty("cluster"),
      secret: empty("secret"),
      endpoint: empty("endpoint"),
      listener: empty("listener"),
      route: empty("route"),
    },
    endpoints: { wanted: undefined, kept: noneKept },
    lastNonce: 0,
    isResumed: false,
  };
}

export const orderStep = (now: Order, event: OrderEvent): OrderStep => offerOrder(absorbOrder(now, event));

/**
 * The event taken in, nothing sent yet: what comes while Envoy does not read joins. A request for a type that is not served
 * changes nothing: the peer keeps waiting, as the protocol has it.
 */
export function absorbOrder(now: Order, event: OrderEvent): Order {
  switch (event.kind) {
    case "request": {
      const type = envoyTypeOf(event.request.typeUrl);
      return type === undefined ? now : letGo(afterRequest(now, type, event.request));
    }
    case "changed":
      return letGo(afterChange(now, event.changes));
  }
}

/** Envoy has asked for clusters and listeners, and has acknowledged everything but what it refused and what waits for that. */
export const isSettled = ({ subscriptions }: Order): boolean =>
  subscriptions.cluster.asked &&
  subscriptions.listener.asked &&
  envoyTypes.every((type) => {
    const { asked, wanted, inFlight, owesGreeting } = subscriptions[type];
    return !asked || (wanted !== undefined && inFlight === undefined && !owesGreeting);
  });

/** What Envoy refused alone and still refuses. */
export const refusalsOfOrder = ({ subscriptions }: Order): readonly TypedRefusal[] =>
  envoyTypes.flatMap((type) => refusalsOf(subscriptions[type]).map((refusal) => ({ type, ...refusal })));

function afterRequest(now: Order, type: EnvoyType, request: EnvoyRequest): Order {
  const isResumed = now.isResumed || Object.keys(request.initialResourceVersions).length > 0;
  const taken = eventsOf(request).reduce((order, event) => absorbed(order, type, event), { ...now, isResumed });
  // A cluster on its way warms anew and needs its endpoints on this stream, also those that Envoy says it has.
  if (type !== "endpoint" || request.resourceNamesSubscribe.length === 0) return taken;
  const warming = taken.subscriptions.cluster.inFlight?.sent;
  return absorbed(taken, type, {
    kind: "again",
    names: request.resourceNamesSubscribe.filter((name) => warming?.get(name)?.item),
  });
}

function afterChange(start: Order, changes: ReadonlyMap<EnvoyType, Change>): Order {
  let now = start;
  for (const [type, change] of changes)
    if (type !== "endpoint") now = absorbed(now, type, { kind: "changed", ...change });
  const endpoints = changes.get("endpoint");
  return endpoints ? afterEndpoints(now, endpoints) : now;
}

/** Clusters are as they are wanted by now. */
function afterEndpoints(now: Order, { wanted, names }: Change): Order {
  const { cluster, endpoint } = now.subscriptions;
  const kept = new Map(now.endpoints.kept);
  for (const name of names === "everything" ? (endpoint.wanted?.names() ?? []) : names) {
    const before = endpoint.wanted?.get(name);
    if (before && !wanted.get(name) && !hasWanted(cluster, name)) kept.set(name, before);
    else kept.delete(name);
  }
  const endpoints = { wanted, kept: kept.size === 0 ? noneKept : kept };
  return absorbed({ ...now, endpoints }, "endpoint", { kind: "changed", wanted: withKept(wanted, kept), names });
}

/** Of clusters that Envoy has as they are wanted, nothing is kept. */
function letGo(now: Order): Order {
  const { wanted, kept } = now.endpoints;
  if (kept.size === 0) return now;
  const names = [...kept.keys()].filter((name) => hasWanted(now.subscriptions.cluster, name));
  return wanted && names.length > 0 ? afterEndpoints(now, { wanted, names }) : now;
}

const absorbed = (now: Order, type: EnvoyType, event: Event): Order =>
  withSubscription(now, type, absorb(now.subscriptions[type], event));

const withSubscription = (now: Order, type: EnvoyType, subscription: Subscription): Order => ({
  ...now,
  subscriptions: { ...now.subscriptions, [type]: subscription },
});

/** All that may be sent now. */
export function offerOrder(start: Order): OrderStep {
  let now = start;
  const send: TypedPush[] = [];
  for (const type of envoyTypes) {
    let { lastNonce } = now;
    const offered = offer(now.subscriptions[type], () => String(++lastNonce), gateOf(now, type));
    now = { ...withSubscription(now, type, offered.next), lastNonce };
    if (!offered.send) continue;
    send.push({ type, response: offered.send });
    if (type === "cluster") {
      now = absorbed(now, "endpoint", { kind: "again", names: offered.send.upsert.map(({ name }) => name) });
    }
  }
  return { next: now, send };
}

function gateOf(now: Order, type: EnvoyType): Gate {
  const { cluster, listener, route } = now.subscriptions;
  switch (type) {
    case "cluster":
      return {
        greets: true,
        passes: (name, item) =>
          item !== undefined || (!isListenerUnknown(now) && !mayRefer(listener, name) && !mayRefer(route, name)),
      };
    case "secret":
      return gate(() => hasAllWanted(cluster) && hasAllWanted(listener));
    case "endpoint":
      return gate((name) => hasWanted(cluster, name));
    case "listener":
      // An empty greeting while clusters are under way would tell a starting Envoy that it is ready.
      return { ...gate(() => true, cluster), greets: cluster.asked && cluster.inFlight === undefined };
    case "route":
      return gate(() => hasAllWanted(listener), cluster);
  }
}

/** `mayRemove` is about names that Envoy has. That there is nothing under a name that it asks for is told at once: it waits. */
function gate(mayRemove: (name: string) => boolean, clusters?: Subscription): Gate {
  return {
    greets: true,
    passes(name: string, item: Item | undefined, behind: Behind): boolean {
      if (!item) return behind.held === undefined || behind.asked || mayRemove(name);
      return clusters === undefined || (item.refers ?? []).every((cluster) => isReady(clusters, cluster));
    },
  };
}

/** A cluster that nobody wants never comes, so nothing waits for it. */
function isReady(clusters: Subscription, name: string): boolean {
  const leaving = clusters.inFlight?.sent.get(name);
  const isHeld = heldOf(clusters, name) !== undefined && !(leaving && !leaving.item);
  return isHeld || clusters.wanted?.get(name) === undefined;
}

/**
 * After a reconnection Envoy asks for clusters first, and may have listeners and routes that need one that is gone. When it
 * has answered for listeners, all its first requests are here.
 */
const isListenerUnknown = (now: Order): boolean => now.isResumed && !now.subscriptions.listener.answered;

/**
 * Whether something that Envoy has or is being sent may refer to the cluster. What it has as wanted does not, a wanted set
 * being closed under references; so only what differs is looked at.
 */
function mayRefer(subscription: Subscription, cluster: string): boolean {
  const mayHaveHeld = ({ held, maybe }: Behind): boolean =>
    refersTo(held, cluster) || maybe.some((item) => refersTo(item, cluster));
  for (const behind of subscription.behind.values()) if (mayHaveHeld(behind)) return true;
  for (const { item, before } of subscription.inFlight?.sent.values() ?? []) {
    if (mayHaveHeld(before) || refersTo(item, cluster)) return true;
  }
  return false;
}

const refersTo = (holding: Holding | undefined, cluster: string): boolean =>
  holding?.refers === "unknown" || (holding?.refers?.includes(cluster) ?? false);
