import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { EnvoyType } from "#discovery/order.ts";
import { decode, encode } from "#envoy/encode.ts";
import type { ListenerJson } from "#gen/envoy/config/listener/v3/listener_pb.ts";
import { assignment } from "#proxy/assignment.ts";
import { completeIngresses, egressListenerDraft } from "#proxy/egress.ts";
import { type Egress, type EgressForm, throughEgresses } from "#topology/egress.ts";
import type { RemoteOffer } from "#topology/provider.ts";
import { type Endpoint, endpointsOf } from "#topology/service.ts";

// What a stock egress and its client had (interop 7.7, 7.8), less the chains that end TLS.
const { listener: kumas } = JSON.parse(
  readFileSync(new URL("../../test/recorded/envoy/egress.json", import.meta.url), "utf8"),
);
/** In one form, whoever wrote it. */
const normal = (type: EnvoyType, json: object) => decode(type, encode(type, json));

test("for who names no zone an egress is as Kuma's is", () => {
  const at = { address: "127.33.1.8", port: 33532 };
  const targets = ["backend", "db"].map((service) => ({ mesh: "default", service, subset: {} }));
  const { json } = egressListenerDraft("egress-1", "zone-1", at, {
    ...{ services: targets, zones: ["zone-2"], outside: [] },
  });
  const { filterChains: chains = [], filterChainMatcher: matcher, ...rest } = json as ListenerJson;
  const ways = chains.filter(({ name = "" }) => name.startsWith("kodiak:"));
  const asRecorded = chains
    .filter((chain) => !ways.includes(chain))
    // Ours tries another host; names are for the matcher.
    .map(({ name: _, ...chain }) => JSON.parse(JSON.stringify(chain).replace(/,"maxConnectAttempts":\d+/g, "")));
  assert.deepEqual(normal("listener", { ...rest, filterChains: asRecorded }), normal("listener", kumas));
  assert.deepEqual(
    ways.map(({ name }) => name),
    ["kodiak:zone:zone-2"],
  );
  assert.match(JSON.stringify(matcher), /"'kuma','zone-2\.kodiak'".*"kodiak:zone:zone-2"/);
  assert.match(JSON.stringify(matcher), /"backend\{mesh=default\}".*"default:backend"/);
});

const egress = (host: number, zones: Egress["ways"]["zones"], more: Partial<Egress> = {}): Egress => ({
  at: { address: `10.2.0.${host}`, port: 10002 },
  isMarked: false,
  ways: { services: ["default/web"], zones },
  ...more,
});
const offer = (zone: string, host: number, instances: number): RemoteOffer => ({
  ...{ zone, ingress: `i-${host}`, address: `10.1.0.${host}`, port: 10001, isDrained: false },
  entries: [{ tags: {}, instances }],
});
const ingress = (host: number): string => `10.1.0.${host}:10001`;
/** `there`: hosts of ingresses of zone b. */
const seen = (
  form: EgressForm,
  egresses: readonly Egress[],
  offers: readonly RemoteOffer[],
  there: readonly number[] = [1, 2],
): readonly Endpoint[] =>
  endpointsOf({
    ...{ localZone: "a", subset: {}, instances: [], offers },
    through: throughEgresses(form, egresses, "default/web", (zone) => (zone === "b" ? there.map(ingress) : [])),
  });
const weights = (endpoints: readonly Endpoint[]) => endpoints.map(({ zone, weight }) => [zone, weight]);
const offers = [offer("b", 1, 3), offer("b", 2, 3), offer("c", 3, 6)];
const both = { b: [ingress(1), ingress(2)], c: [ingress(3)] };

test("each zone is one endpoint, weighted by instances; another client's are the egresses", () => {
  const egresses = [egress(1, both), egress(2, both)];
  assert.deepEqual(weights(seen("zones", egresses, offers)), [
    ["b", 3],
    ["c", 6],
  ]);
  const [asOne, other] = seen("addresses", egresses, offers);
  assert.deepEqual([asOne?.address, asOne?.zone, asOne?.weight], ["10.2.0.1", "b,c", 9]);
  assert.deepEqual([other?.address, other?.weight], ["10.2.0.2", 9]);
});

test("a zone is not told of before all egresses lead there, and to nothing that lacks the service", () => {
  assert.deepEqual(weights(seen("zones", [egress(1, both), egress(2, { b: both.b })], offers)), [["b", 3]]);
  // A connection could end at an ingress that does not offer it.
  assert.deepEqual(weights(seen("zones", [egress(1, both)], offers.slice(1))), [["c", 6]]);
  const ways = { services: [], zones: both };
  for (const form of ["zones", "addresses"] as const) {
    assert.deepEqual(seen(form, [egress(1, both), egress(2, both, { ways })], offers), []);
    assert.deepEqual(seen(form, [], offers), []);
  }
});

test("an ingress that has gone takes nothing with it while egresses have not heard of that", () => {
  const seenOf = (...there: readonly number[]) => weights(seen("zones", [egress(1, both)], offers.slice(1), there));
  assert.deepEqual(seenOf(2), [
    ["b", 3],
    ["c", 6],
  ]);
  assert.deepEqual(seenOf(1, 2), [["c", 6]], "it is there, and leads elsewhere");
  assert.deepEqual(weights(seen("zones", [egress(1, { ...both, b: [ingress(1)] })], offers.slice(1), [2])), [["c", 6]]);
});

test("what goes, egress or ingress, makes another endpoint of the zones behind it, so that connections are renewed", () => {
  const waysOf = (egresses: readonly Egress[], all = offers) =>
    new Map(seen("zones", egresses, all).map(({ zone, way }) => [zone, way]));
  const two = waysOf([egress(1, both), egress(2, both)]);
  const one = waysOf([egress(1, both)]);
  for (const zone of ["b", "c"]) assert.notEqual(two.get(zone), one.get(zone));
  const after = waysOf([egress(1, { ...both, b: [ingress(2)] })], offers.slice(1));
  assert.notEqual(after.get("b"), one.get("b"));
  assert.equal(after.get("c"), one.get("c"));
  assert.match(one.get("c") ?? "", /^c\/[0-9a-f]{8}$/);
});

test("Envoy tells zones apart by an address inside it, and chooses TLS by the zone", () => {
  const { endpoints = [] } = assignment("web", seen("zones", [egress(1, both)], offers));
  const [first] = endpoints[0]?.lbEndpoints ?? [];
  const internal = first?.endpoint?.address?.envoyInternalAddress;
  assert.equal(internal?.serverListenerName, "kodiak:egress");
  assert.match(internal?.endpointId ?? "", /^b\//);
  assert.deepEqual(first?.metadata?.filterMetadata?.["envoy.transport_socket_match"], { "kuma.io/zone": "b" });
});

test("an ingress that leads to less than others of its zone is left out until it catches up", () => {
  const at = (host: number, services: number) => ({ address: `10.1.0.${host}`, port: 10001, services });
  const hosts = (...all: Parameters<typeof completeIngresses>) => completeIngresses(...all).map((one) => one.address);
  assert.deepEqual(hosts([at(2, 5), at(1, 5), at(3, 4)]), ["10.1.0.1", "10.1.0.2"]);
  assert.deepEqual(hosts([at(1, 0)]), ["10.1.0.1"], "of which Kuma does not say what they lead to");
});
