// What proxies with a redirect have besides, against what stock Kuma sends its own (test/recorded), and what is reached by whom.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import type { EnvoyType } from "#discovery/order.ts";
import { decode, encode } from "#envoy/encode.ts";
import type { ListenerJson } from "#gen/envoy/config/listener/v3/listener_pb.ts";
import { isObject, type JsonObject, parseJson } from "#lib/json.ts";
import type { Draft } from "#proxy/bundle.ts";
import { dnsDraft } from "#proxy/dns.ts";
import {
  dnsRecords,
  inboundPassthrough,
  namedSubsets,
  outboundPassthrough,
  transparentOf,
  virtualOutlets,
} from "#proxy/transparent.ts";
import { nodeFactsOf } from "#topology/node.ts";
import { namedIn, serviceOutbound, type VipTable } from "#topology/vips.ts";

const read = (path: string): string => readFileSync(new URL(`../../test/recorded/${path}`, import.meta.url), "utf8");
const recorded = parseJson(read("envoy/client-transparent.json")) as Record<string, Record<string, JsonObject>>;
/** In the form in which generated ones are compared. */
const stock = (type: EnvoyType, name: string): unknown => {
  const { "@type": _, ...json } = recorded[`${type}s`]?.[name] ?? {};
  return decode(type, encode(type, json));
};
const made = ({ type, json }: Draft): unknown => decode(type, encode(type, json));
const equalsStock = (drafts: readonly Draft[]): void => {
  for (const draft of drafts) assert.deepEqual(made(draft), stock(draft.type, draft.name), draft.name);
};

const ports = { inbound: 33706, outbound: 33701, ipv6: true, isStrict: true };
const names = ["backend", "client", "db", "client-delta", "client-tp", "client-tpdp"];
const table: VipTable = new Map(
  names.map((service, i) => [`0:${service}`, { address: `240.0.0.${i}`, outbounds: [serviceOutbound(service)] }]),
);

test("what is for no service passes as with Kuma, or is closed", () => {
  const drafts = outboundPassthrough(ports, { passthroughMode: "All" });
  assert.equal(drafts.length, 4);
  equalsStock(drafts);
  const closed = outboundPassthrough(ports, { passthroughMode: "None" });
  assert.deepEqual(
    closed.map(({ type, refers }) => [type, refers]),
    [
      ["listener", []],
      ["listener", []],
    ],
  );
  equalsStock(closed);
  assert.equal(outboundPassthrough({ ...ports, ipv6: false }, { passthroughMode: "All" }).length, 2);
});

/** Where each chain of a listener leads, by port. */
function leads([, draft]: readonly Draft[]): readonly string[] {
  const { filterChains = [] } = draft!.json as ListenerJson;
  return filterChains.map(({ filterChainMatch, filters }) => {
    const { cluster } = filters![0]!.typedConfig as unknown as { readonly cluster: string };
    return `${filterChainMatch?.destinationPort ?? "all"} ${cluster}`;
  });
}

test("what comes in passes at ports of inbounds only, or at all without the strict feature", () => {
  equalsStock(inboundPassthrough(ports, [33500], false));
  assert.deepEqual(leads(inboundPassthrough({ ...ports, isStrict: false }, [33500], false)), [
    "all inbound:passthrough:ipv4",
  ]);
  assert.deepEqual(inboundPassthrough({ ...ports, inbound: 0 }, [33500], false), []);
});

test("what comes in without mTLS to the port of an inbound that asks for it is closed, whatever the address", () => {
  assert.deepEqual(leads(inboundPassthrough(ports, [80, 81], true)), ["80 closed", "81 closed"]);
  const lenient = { ...ports, isStrict: false };
  assert.deepEqual(leads(inboundPassthrough(lenient, [80], true)), ["80 closed", "all inbound:passthrough:ipv4"]);
  // Before a gateway, which listens itself and takes who has no identity.
  assert.deepEqual(leads(inboundPassthrough(ports, [], true)), ["all inbound:passthrough:ipv4"]);
});

test("names are in Envoy's table as Kuma puts them there, and in the list that kuma-dp asks for", () => {
  const records = dnsRecords(namedIn(table), ports);
  const place = { mesh: "default", zone: "zone-1" };
  equalsStock([dnsDraft({ kind: "envoy", port: 33764 }, records, place)]);
  const bodyIn = (json: unknown): JsonObject => {
    const [, body = ""] = /"inlineString":("(?:[^"\\]|\\.)*")/.exec(JSON.stringify(json)) ?? [];
    return JSON.parse(JSON.parse(body)) as JsonObject;
  };
  const draft = dnsDraft({ kind: "list", socket: "/tmp/kuma-dp/kuma-mesh-metric-config.sock" }, records, place);
  const { ttl, ...own } = bodyIn(made(draft));
  const { ttl: theirs, ...rest } = bodyIn(stock("listener", draft.name));
  assert.deepEqual(own, rest);
  assert.deepEqual([ttl, theirs], [5, 30]);
});

test("who says of itself what is redirected, in its node or in its Dataplane", () => {
  const nodeOf = (file: string): JsonObject => {
    const { node } = parse(read(`dp-server/${file}`)) as { node: { metadata: JsonObject } };
    assert.ok(isObject(node.metadata));
    return node.metadata;
  };
  const told = nodeFactsOf(nodeOf("bootstrap-sidecar-transparent-embedded-dns.response.yaml"));
  const networking = { address: "127.0.0.1", inbound: [{ port: 80 }] };
  const own = transparentOf({ networking }, told);
  assert.deepEqual([own?.outbound, own?.inbound, own?.isStrict], [33701, 33706, true]);
  assert.equal(own?.dns?.kind, "list");
  const transparentProxying = {
    redirectPortInbound: 15006,
    redirectPortOutbound: 15001,
    reachableServices: ["db", "a", "db"],
  };
  const written = nodeFactsOf(nodeOf("bootstrap-sidecar-transparent-from-dataplane.response.yaml"));
  const said = transparentOf({ networking: { ...networking, transparentProxying } }, written);
  assert.deepEqual([said?.outbound, said?.reachable, said?.dns?.kind], [15001, ["a", "db"], "envoy"]);
  assert.equal(transparentOf({ networking }, nodeFactsOf({})), undefined);
  const bound = nodeFactsOf({ features: ["feature-bind-outbounds"] });
  assert.equal(transparentOf({ networking: { ...networking, transparentProxying } }, bound), undefined);
});

test("only what is reachable is called and has a name; a part of a service is one that other zones ask for", () => {
  const versioned = { port: 81, tags: { "kuma.io/service": "db", version: "v1" }, origin: "virtual-outbound:v" };
  const own = { address: "240.0.0.9", outbounds: [serviceOutbound("db"), versioned] };
  const named = namedIn(new Map([...table, ["0:db", own]]));
  assert.deepEqual(virtualOutlets(named, ["db"]), [
    { at: { address: "240.0.0.9", port: 80 }, service: "db", isVirtual: true },
    { at: { address: "240.0.0.9", port: 81 }, service: "db", subset: { version: "v1" }, isVirtual: true },
  ]);
  assert.equal(virtualOutlets(named, undefined).length, names.length + 1);
  assert.deepEqual(dnsRecords(named, { reachable: ["db"], ipv6: false }), [
    { name: "db.mesh", addresses: ["240.0.0.9"] },
  ]);
  assert.deepEqual(namedSubsets("m", named), new Map([["m/db", [{ version: "v1" }]]]));
  const gone = namedIn(new Map([["0:db", { ...own, freedAt: "2026-01-01T00:00:00Z" }]]));
  assert.deepEqual(gone, []);
  const twice = namedIn(
    new Map([
      ["0:A_b", own],
      ["0:a_b", own],
    ] as const),
  );
  assert.deepEqual(
    twice.map(({ domains }) => domains),
    [["a_b.mesh", "a.b.mesh"], []],
  );
});
