// Whatever happens in whatever order (changes, answers, refusals, delays, reconnections), a proxy never uses a cluster that
// it does not have, nor one without the endpoints that it came with, never waits for endpoints that do not come, and in the end has what is wanted.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Item, versionOf, wantedOf } from "#discovery/item.ts";
import {
  type EnvoyRequest,
  type EnvoyType,
  envoyTypes,
  envoyTypeUrl,
  isSettled,
  newOrder,
  type OrderEvent,
  orderStep,
} from "#discovery/order.ts";
import { heldOf, type Push } from "#discovery/subscription.ts";
import { requestOf } from "#discovery/transcript.ts";

type Named = ReadonlyMap<string, Item>;
type Mesh = Readonly<Record<EnvoyType, Named>>;

const nothing: Mesh = {
  cluster: new Map(),
  secret: new Map(),
  endpoint: new Map(),
  listener: new Map(),
  route: new Map(),
};

/** What a real Envoy was seen to do (interop 6.4, recorded/dp-server): clusters are acknowledged when warm. */
class Envoy {
  readonly has: Record<EnvoyType, Map<string, Item>> = {
    cluster: new Map(),
    secret: new Map(),
    endpoint: new Map(),
    listener: new Map(),
    route: new Map(),
  };
  /** Clusters that have been warm, so that requests can be sent to them. */
  readonly active = new Set<string>();
  readonly names: Record<"secret" | "endpoint" | "route", Set<string>> = {
    secret: new Set(),
    endpoint: new Set(),
    route: new Set(),
  };
  warming = new Set<string>();
  clustersToAck: string | undefined;
  asksListeners = false;
  requests: EnvoyRequest[] = [];
  readonly appliesPart: boolean;
  /** No cluster comes without its endpoints, and none of these is refused: so none is in use without them. */
  readonly isNoneEmpty: boolean;
  /** Clusters refused by name, which it takes for known when they come again. */
  readonly #ghosts = new Map<string, string>();

  constructor(appliesPart: boolean, isNoneEmpty: boolean) {
    this.appliesPart = appliesPart;
    this.isNoneEmpty = isNoneEmpty;
  }

  ask(type: EnvoyType, command: string): void {
    this.requests.push({ typeUrl: envoyTypeUrl[type], ...requestOf(command)! });
  }

  connect(): void {
    this.requests = [];
    this.#ghosts.clear();
    this.clustersToAck = undefined;
    for (const name of this.warming) this.active.add(name);
    this.warming = new Set();
    const held = (type: EnvoyType): string =>
      [...this.has[type].values()].map((i) => `${i.name}@${i.version}`).join(" ");
    const has = (type: EnvoyType): string => (this.has[type].size > 0 ? ` has ${held(type)}` : "");
    this.ask("cluster", `ask${this.has.cluster.size > 0 ? ` *${has("cluster")}` : ""}`);
    for (const type of ["endpoint", "secret", "route"] as const) {
      if (this.names[type].size > 0) this.ask(type, `ask ${[...this.names[type]].join(" ")}${has(type)}`);
    }
    if (this.asksListeners) this.ask("listener", `ask${this.has.listener.size > 0 ? ` *${has("listener")}` : ""}`);
  }

  receive(type: EnvoyType, { nonce, upsert, remove }: Push): void {
    const isLate = (item: Item): boolean => type === "cluster" && item.version.startsWith("bad-late");
    const undecodable = upsert.findIndex((item) => isBad(item) && !isLate(item));
    if (undecodable >= 0) {
      if (this.appliesPart)
        this.#apply(
          type,
          upsert.slice(0, undecodable).filter((item) => !isBad(item)),
          remove,
        );
      // Refused endpoints end a cluster's wait for them.
      if (type === "endpoint") for (const { name } of upsert) this.#warm(name);
      this.#refuse(type, nonce, "can't be decoded");
    } else {
      const late = upsert.filter((item) => isLate(item) && this.#ghosts.get(item.name) !== item.version);
      this.#apply(
        type,
        upsert.filter((item) => !isLate(item)),
        remove,
      );
      for (const { name, version } of late) this.#ghosts.set(name, version);
      const named = late.map(({ name }) => `${name}: no`).join(", ");
      if (late.length > 0) this.#refuse(type, nonce, `Error adding/updating cluster(s) ${named}`);
      else if (type === "cluster") this.clustersToAck = nonce;
      else this.ask(type, `ack ${nonce}`);
    }
    this.#ackWarmClusters();
  }

  #refuse(type: EnvoyType, nonce: string, reason: string): void {
    this.ask(type, `nack ${nonce} ${reason}`);
    if (type === "cluster") this.#goOn();
  }

  #ackWarmClusters(): void {
    if (this.clustersToAck === undefined || this.warming.size > 0) return;
    this.ask("cluster", `ack ${this.clustersToAck}`);
    this.clustersToAck = undefined;
    this.#goOn();
  }

  /** The first answer to clusters, refused or warm, starts the rest. */
  #goOn(): void {
    if (this.asksListeners) return;
    this.asksListeners = true;
    this.#subscribe("secret", "s0");
    this.#subscribe("secret", "s1");
    this.ask("listener", "ask");
  }

  #apply(type: EnvoyType, upsert: readonly Item[], remove: readonly string[]): void {
    for (const item of upsert) {
      // Crossed with its unsubscription.
      if (isNamed(type) && !this.names[type].has(item.name)) continue;
      this.has[type].set(item.name, item);
      if (type === "cluster") this.#ghosts.delete(item.name);
      for (const cluster of item.refers ?? []) {
        assert.ok(this.active.has(cluster), `${type} ${item.name}@${item.version} before cluster ${cluster}`);
      }
      if (type === "cluster") this.#addCluster(item);
      if (type === "endpoint") this.#warm(item.name);
      if (type === "listener" && item.name.startsWith("h")) this.#subscribe("route", item.name);
    }
    for (const name of remove) {
      this.has[type].delete(name);
      if (type === "cluster") this.#removeCluster(name);
      if (type === "endpoint") {
        assert.ok(!this.isNoneEmpty || !this.warming.has(name), `cluster ${name} is warm without its endpoints`);
        this.#warm(name);
      }
      if (type === "listener") this.#unsubscribe("route", name);
    }
  }

  #addCluster(item: Item): void {
    this.warming.add(item.name);
    if (isFixed(item)) {
      this.#warm(item.name);
      this.#unsubscribe("endpoint", item.name);
    } else this.#subscribe("endpoint", item.name);
  }

  #removeCluster(name: string): void {
    for (const user of [...this.has.listener.values(), ...this.has.route.values()]) {
      assert.ok(!user.refers?.includes(name), `cluster ${name} removed while ${user.name}@${user.version} needs it`);
    }
    this.active.delete(name);
    this.warming.delete(name);
    this.#ghosts.delete(name);
    this.#unsubscribe("endpoint", name);
  }

  #warm(name: string): void {
    if (this.warming.delete(name)) this.active.add(name);
  }

  #subscribe(type: "secret" | "endpoint" | "route", name: string): void {
    if (this.names[type].has(name)) return;
    this.names[type].add(name);
    this.ask(type, `ask ${name}`);
  }

  #unsubscribe(type: "endpoint" | "route", name: string): void {
    if (!this.names[type].delete(name)) return;
    this.has[type].delete(name);
    this.ask(type, `ask -${name}`);
  }
}

/** The two ends and what is on its way between them. */
class Link {
  readonly proxy: Envoy;
  order = newOrder();
  wanted: Mesh | undefined;
  responses: { readonly type: EnvoyType; readonly response: Push }[] = [];
  unanswered = new Set<EnvoyType>();

  constructor(appliesPart: boolean, isNoneEmpty: boolean) {
    this.proxy = new Envoy(appliesPart, isNoneEmpty);
    this.proxy.connect();
  }

  step(event: OrderEvent): void {
    const { next, send } = orderStep(this.order, event);
    this.order = next;
    for (const push of send) {
      assert.ok(!this.unanswered.has(push.type), `two responses in flight for ${push.type}`);
      this.unanswered.add(push.type);
    }
    this.responses.push(...send);
  }

  change(wanted: Mesh, isExact: boolean): void {
    const before = this.wanted ?? nothing;
    const changes = envoyTypes.map((type) => {
      const names = new Set([...before[type].keys(), ...wanted[type].keys()]);
      const differing = [...names].filter((name) => !isSame(before[type].get(name), wanted[type].get(name)));
      return [type, { wanted: wantedOf(wanted[type]), names: isExact ? differing : "everything" }] as const;
    });
    this.wanted = wanted;
    this.step({ kind: "changed", changes: new Map(changes) });
  }

  up(): boolean {
    const request = this.proxy.requests.shift();
    if (!request) return false;
    const type = envoyTypes.find((each) => envoyTypeUrl[each] === request.typeUrl)!;
    if (request.responseNonce !== "") this.unanswered.delete(type);
    this.step({ kind: "request", request });
    return true;
  }

  down(): boolean {
    const push = this.responses.shift();
    if (push) this.proxy.receive(push.type, push.response);
    return push !== undefined;
  }

  reconnect(): void {
    this.order = newOrder();
    this.responses = [];
    this.unanswered = new Set();
    this.proxy.connect();
    if (this.wanted) this.change({ ...this.wanted }, false);
  }

  drain(): void {
    for (let steps = 0; this.up() || this.down(); steps++) assert.ok(steps < 10_000, "never quiet");
  }
}

const isNamed = (type: EnvoyType): type is "secret" | "endpoint" | "route" => type !== "cluster" && type !== "listener";
/** A cluster whose endpoints are in it. */
const isFixed = (item: Item): boolean => item.version.startsWith("fixed");
const isBad = (item: Item): boolean => item.version.startsWith("bad");
const isSame = (a: Item | undefined, b: Item | undefined): boolean => versionOf(a) === versionOf(b);

/** What the proxy must have at the end: everything wanted but what it refuses, and what waits for or needs that. */
function assertConverged({ proxy, order, wanted }: Link): void {
  assert.equal(proxy.clustersToAck, undefined, `waits for the endpoints of ${[...proxy.warming]}`);
  assert.ok(isSettled(order), "not settled");
  for (const type of envoyTypes) {
    for (const [name, item] of wanted![type]) {
      const waits = item.refers?.some((cluster) => !heldOf(order.subscriptions.cluster, cluster));
      if (isBad(item) || waits || (isNamed(type) && !proxy.names[type].has(name))) continue;
      assert.equal(proxy.has[type].get(name)?.version, item.version, `${type} ${name}`);
    }
    for (const [name, item] of proxy.has[type]) {
      assert.ok(!isBad(item));
      if (wanted![type].has(name)) continue;
      const needed = {
        cluster: mayBeNeeded("listener", name) || mayBeNeeded("route", name),
        secret: !hasAll("cluster") || !hasAll("listener"),
        endpoint: !isSame(wanted!.cluster.get(name), proxy.has.cluster.get(name)),
        listener: false,
        route: !hasAll("listener"),
      };
      assert.ok(needed[type], `${type} ${name} is still there`);
    }
  }
  /** By what the control plane can know: a refusal or an earlier stream leaves it unsure. */
  function mayBeNeeded(type: "listener" | "route", cluster: string): boolean {
    return [...order.subscriptions[type].behind.values()].some(({ held, maybe }) =>
      [held, ...maybe].some((each) => each?.refers === "unknown" || each?.refers?.includes(cluster)),
    );
  }
  function hasAll(type: "cluster" | "listener"): boolean {
    const names = new Set([...wanted![type].keys(), ...proxy.has[type].keys()]);
    return [...names].every((name) => isSame(wanted![type].get(name), proxy.has[type].get(name)));
  }
}

const clusterNames = ["a", "b", "c", "d", "e"];
const goodVersion = fc.constantFrom("1", "2", "3");
const version = fc.oneof(
  { arbitrary: goodVersion, weight: 9 },
  { arbitrary: fc.constantFrom("bad1", "bad2", "bad-late1", "bad-late2"), weight: 1 },
);
const clusterVersion = fc.oneof(
  { arbitrary: version, weight: 5 },
  { arbitrary: fc.constantFrom("fixed1", "fixed2"), weight: 1 },
);
const clusters = fc.dictionary(fc.constantFrom(...clusterNames), clusterVersion, { noNullPrototype: true });
const users = (...names: string[]) =>
  fc.dictionary(fc.constantFrom(...names), fc.tuple(version, fc.subarray(clusterNames)), { noNullPrototype: true });

/** Closed under references: users refer only to clusters that are there. Equal versions are equal content. */
const mesh = (isNoneEmpty: boolean): fc.Arbitrary<Mesh> =>
  fc
    .record({
      clusters,
      endpoints: fc.dictionary(fc.constantFrom(...clusterNames), isNoneEmpty ? goodVersion : version, {
        noNullPrototype: true,
      }),
      hasAllEndpoints: isNoneEmpty ? fc.constant(true) : fc.boolean(),
      secrets: fc.dictionary(fc.constantFrom("s0", "s1"), version, { noNullPrototype: true }),
      listeners: users("l0", "l1", "h0", "h1"),
      routes: users("h0", "h1"),
    })
    .map(({ clusters, endpoints, hasAllEndpoints, secrets, listeners, routes }) => {
      const plain = (versions: Record<string, string>): Named =>
        new Map(Object.entries(versions).map(([name, version]) => [name, { name, version, bytes: new Uint8Array() }]));
      const using = (all: Record<string, [string, string[]]>): Named =>
        new Map(
          Object.entries(all).map(([name, [version, wished]]) => {
            const refers = wished.filter((cluster) => cluster in clusters);
            return [name, { name, version: `${version}-${refers.join("-")}`, refers, bytes: new Uint8Array() }];
          }),
        );
      const cluster = plain(clusters);
      const ones = Object.fromEntries(Object.keys(clusters).map((name) => [name, "1"]));
      const all = Object.entries(hasAllEndpoints ? { ...ones, ...endpoints } : endpoints);
      const needed = all.filter(([name]) => !cluster.get(name)?.version.startsWith("fixed"));
      return {
        cluster,
        secret: plain(secrets),
        endpoint: plain(Object.fromEntries(needed)),
        listener: using(listeners),
        route: using(routes),
      };
    });

type Happening =
  | { readonly kind: "change"; readonly mesh: Mesh; readonly isExact: boolean }
  | { readonly kind: "up" | "down" | "reconnect" | "drain" };

const happening = (isNoneEmpty: boolean): fc.Arbitrary<Happening> =>
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("change" as const), mesh: mesh(isNoneEmpty), isExact: fc.boolean() }),
    },
    { weight: 8, arbitrary: fc.record({ kind: fc.constant("up" as const) }) },
    { weight: 8, arbitrary: fc.record({ kind: fc.constant("down" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("reconnect" as const, "drain" as const) }) },
  );

const histories = fc.boolean().chain((isNoneEmpty) =>
  fc.record({
    isNoneEmpty: fc.constant(isNoneEmpty),
    appliesPart: fc.boolean(),
    history: fc.array(happening(isNoneEmpty), { maxLength: 60 }),
    last: mesh(isNoneEmpty),
  }),
);

test("a proxy never breaks, never waits for what does not come, and ends with what is wanted", () => {
  fc.assert(
    fc.property(histories, ({ isNoneEmpty, appliesPart, history, last }) => {
      const link = new Link(appliesPart, isNoneEmpty);
      for (const event of history) {
        if (event.kind === "change") link.change(event.mesh, event.isExact);
        else link[event.kind]();
      }
      link.change(last, true);
      link.drain();
      assertConverged(link);
    }),
    { numRuns: 3000 },
  );
});
