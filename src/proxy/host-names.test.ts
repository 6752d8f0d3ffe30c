import assert from "node:assert/strict";
import { test } from "node:test";
import { incrementalGraph } from "#incremental/graph.ts";
import type { JsonObject } from "#lib/json.ts";
import { atAddresses } from "#proxy/host-names.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

/** In `zone-a`. */
function stage() {
  const graph = incrementalGraph();
  const kinds = ["Dataplane", "ZoneEgress", "ZoneIngress", "Mesh"] as const;
  const sources = new Map(kinds.map((kind) => [kind as string, graph.source<Resource>(kind)]));
  const addresses = graph.source<readonly string[]>("addresses");
  const departed = graph.source<Resource<never>>("departed");
  const met = atAddresses(graph, { zone: "zone-a", of: (kind) => sources.get(kind) as never, departed, addresses });
  const named = (names: readonly string[], one: { readonly name: string; readonly spec: unknown }) => {
    const { networking } = one.spec as { networking: Record<string, string> };
    return [one.name, ...names.map((name) => networking[name])].join(" ");
  };
  return {
    addresses,
    sources,
    met,
    departed,
    resource: (kind: string, name: string, spec: JsonObject): Resource => {
      const mesh = kind === "Dataplane" ? "default" : "";
      return { kind, mesh, name, labels: {}, spec, creationTime: zeroTime, modificationTime: zeroTime };
    },
    put(one: Resource) {
      sources.get(one.kind)?.set(keyOf(one), one);
    },
    /** Name, address and advertised address of each. */
    of(kind: string): readonly string[] {
      graph.settle();
      const all = met.of(kind);
      return [...all.keys()]
        .map((key) => named(["address", "advertisedAddress"], all.get(key) as Resource))
        .map((line) => line.trimEnd())
        .sort();
    },
    wanted(): readonly string[] {
      graph.settle();
      return met.wanted.flatMap((names) => [...names.keys()]).sort();
    },
  };
}

test("an ingress of another zone is there once for each address of its name, and not while none is known", () => {
  const { addresses, resource, put, of, wanted } = stage();
  const networking = { address: "inside.zone-b", port: 10001, advertisedAddress: "lb.example", advertisedPort: 443 };
  put(resource("ZoneIngress", "i-1", { zone: "zone-b", networking }));
  put(resource("ZoneIngress", "i-2", { zone: "zone-b", networking: { ...networking, advertisedAddress: "10.2.0.2" } }));
  assert.deepEqual(of("ZoneIngress"), ["i-2 inside.zone-b 10.2.0.2"]);
  assert.deepEqual(wanted(), ["lb.example"], "where it listens is no concern of this zone");
  addresses.set("lb.example", ["192.0.2.1", "192.0.2.2"]);
  const both = ["i-1@192.0.2.1 inside.zone-b 192.0.2.1", "i-1@192.0.2.2 inside.zone-b 192.0.2.2"];
  assert.deepEqual(of("ZoneIngress"), [...both, "i-2 inside.zone-b 10.2.0.2"]);
  addresses.set("lb.example", ["192.0.2.2"]);
  assert.deepEqual(of("ZoneIngress"), [both[1], "i-2 inside.zone-b 10.2.0.2"]);
});

test("a proxy of this zone is at the first address of its name, by the name that it has", () => {
  const { addresses, resource, put, of, wanted, met, departed } = stage();
  const networking = { address: "one.example", advertisedAddress: "two.example" };
  for (const kind of ["Dataplane", "ZoneEgress", "ZoneIngress"]) put(resource(kind, "p", { networking }));
  departed.set("default/p", resource("Dataplane", "p", { networking }) as Resource<never>);
  assert.deepEqual([...new Set(wanted())], ["one.example", "two.example"]);
  addresses.set("one.example", ["10.0.0.1", "10.0.0.2"]);
  assert.deepEqual(of("Dataplane"), [], "not yet");
  addresses.set("two.example", ["10.0.1.1"]);
  for (const kind of ["Dataplane", "ZoneEgress"]) assert.deepEqual(of(kind), ["p 10.0.0.1 10.0.1.1"]);
  assert.deepEqual(of("ZoneIngress"), ["p 10.0.0.1 two.example"], "where others meet it is theirs to find out");
  assert.deepEqual(met.departed.get("default/p")?.spec, {
    networking: { address: "10.0.0.1", advertisedAddress: "10.0.1.1" },
  });
});

test("what has no names is handed on as it is, and other kinds are what they are", () => {
  const { resource, put, of, wanted, met, sources } = stage();
  const one = resource("Dataplane", "p", { networking: { address: "fd00::1" } });
  put(one);
  put(resource("Mesh", "default", {}));
  assert.deepEqual(of("Dataplane"), ["p fd00::1"]);
  assert.equal(met.of("Dataplane").get("default/p"), one);
  assert.equal(met.of("Mesh"), sources.get("Mesh"));
  assert.deepEqual(wanted(), []);
});
