import assert from "node:assert/strict";
import { test } from "node:test";
import type { Source } from "#incremental/collection.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import type { JsonObject } from "#lib/json.ts";
import { wantedVips } from "#owned/names.ts";
import { kinds } from "#resources/kinds.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

function stage() {
  const graph = incrementalGraph();
  const sources = new Map<string, Source<Resource>>(kinds.map(({ name }) => [name, graph.source<Resource>(name)]));
  const wanted = wantedVips(graph, (kind) => sources.get(kind) as never);
  return {
    put(kind: string, mesh: string, name: string, spec: JsonObject | undefined, labels = {}) {
      const times = { creationTime: zeroTime, modificationTime: zeroTime };
      const resource = spec && { kind, mesh, name, spec, labels, ...times };
      sources.get(kind)?.set(keyOf({ mesh, name }), resource);
    },
    /** By name, each outbound as `port service=…,tag=… origin`. */
    names(mesh = "default") {
      graph.settle();
      const said = [...(wanted.get(mesh)?.names ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
      return Object.fromEntries(
        said.map(([name, outbounds]) => [
          name,
          outbounds.map(({ port, tags, origin }) => `${port} ${Object.values(tags).join(",")} ${origin}`),
        ]),
      );
    },
    exceptions() {
      graph.settle();
      return wanted.get("default")?.exceptions;
    },
  };
}

const dataplane = (...inbounds: readonly (JsonObject & { state?: string })[]): JsonObject => ({
  networking: {
    address: "10.0.0.1",
    inbound: inbounds.map(({ state, ...tags }, i) => ({ port: 80 + i, tags, ...(state && { state }) })),
  },
});
const offering = (...services: readonly JsonObject[]): JsonObject => ({
  availableServices: services.map((tags) => ({ mesh: "default", instances: 1, tags })),
});

test("services of the zone's proxies and of other zones' ingresses have names, each in its mesh", () => {
  const { put, names } = stage();
  put("Mesh", "", "default", {});
  put("Mesh", "", "new", { meshServices: { mode: "Exclusive" } });
  put("Dataplane", "default", "a", dataplane({ "kuma.io/service": "a" }, { "kuma.io/service": "b", state: "Ignored" }));
  put("Dataplane", "new", "n", dataplane({ "kuma.io/service": "n" }));
  put("ZoneIngress", "", "ingress", offering({ "kuma.io/service": "c" }, { "kuma.io/service": "a", version: "v2" }));
  assert.deepEqual(names(), { "0:a": ["0 a service"], "0:c": ["0 c service"] });
  assert.deepEqual(names("new"), {}, "there MeshServices have the names");
  put("Dataplane", "default", "a", undefined);
  put("ZoneIngress", "", "ingress", undefined);
  assert.deepEqual(names(), {});
});

test("a VirtualOutbound makes names of tags, in this zone and in others; one that makes a service's own name adds a port to it", () => {
  const { put, names } = stage();
  const service = { name: "service", tagKey: "kuma.io/service" };
  const virtual = (host: string, port: string, ...more: readonly { name: string }[]): JsonObject => ({
    selectors: [{ match: { "kuma.io/service": "*" } }],
    conf: { host, port, parameters: [service, ...more] },
  });
  put("Mesh", "", "default", {});
  put("Dataplane", "default", "a", dataplane({ "kuma.io/service": "a", version: "v1" }));
  put("ZoneIngress", "", "ingress", offering({ "kuma.io/service": "a", version: "v2" }));
  put("VirtualOutbound", "default", "versions", virtual("{{.version}}.{{.service}}.mesh", "80", { name: "version" }));
  put("VirtualOutbound", "default", "ports", virtual("{{.service}}.mesh", "8080"));
  put("VirtualOutbound", "other", "elsewhere", virtual("{{.service}}.elsewhere", "80"));
  assert.deepEqual(names(), {
    "0:a": ["0 a service", "8080 a virtual-outbound:ports"],
    "2:v1.a.mesh": ["80 a,v1 virtual-outbound:versions"],
    "2:v2.a.mesh": ["80 a,v2 virtual-outbound:versions"],
  });
  // Two that make one name at one port: the first by name is served, whichever came first.
  put("VirtualOutbound", "default", "early", virtual("shared.mesh", "80", { name: "version" }));
  const { "2:shared.mesh": shared } = names();
  assert.deepEqual(shared, ["80 a,v1 virtual-outbound:early"]);
});

test("exceptions are followed where global has handed them down, not where they are one's own", () => {
  const { put, exceptions } = stage();
  put("Mesh", "", "default", {});
  put("Config", "", "kodiak-default-vips", { config: '{"0:a":"240.0.0.1"}' });
  assert.equal(exceptions(), undefined);
  put("Config", "", "kodiak-default-vips", { config: '{"0:a":"240.0.0.1"}' }, { "kuma.io/origin": "global" });
  assert.deepEqual(exceptions(), new Map([["0:a", "240.0.0.1"]]));
});

test("services outside are called at their own port and at that of all services, by their names and their servers'", () => {
  const { put, names } = stage();
  put("Mesh", "", "default", {});
  const external = (service: string, address: string, more = {}): JsonObject => ({
    tags: { "kuma.io/service": service },
    networking: { address, ...more },
  });
  put("ExternalService", "default", "api", external("api", "API.example.com:443"));
  put("ExternalService", "default", "quiet", external("quiet", "quiet.example.com:80", { disableHostDNSEntry: true }));
  put("ExternalService", "default", "ip", external("ip", "192.0.2.1:5432"));
  put("ExternalService", "default", "inside", external("inside", "elsewhere.example.com:80"));
  put("Dataplane", "default", "a", dataplane({ "kuma.io/service": "inside" }));
  assert.deepEqual(names(), {
    "0:api": ["443 api external-service:api"],
    "0:inside": ["0 inside service"],
    "0:ip": ["5432 ip external-service:ip"],
    "0:quiet": ["80 quiet external-service:quiet"],
    "1:api.example.com": ["443 api external-service:api"],
  });
  put("ExternalService", "default", "api", undefined);
  assert.deepEqual(Object.keys(names()), ["0:inside", "0:ip", "0:quiet"]);
});

test("services that are resources have addresses by their KRI, in every mode", () => {
  const { put, names } = stage();
  put("Mesh", "", "default", { meshServices: { mode: "Exclusive" } });
  put("MeshExternalService", "default", "mes-1234", {}, { "kuma.io/display-name": "mes" });
  put("MeshExternalService", "default", "own", {}, { "kuma.io/zone": "zone-a" });
  assert.deepEqual(names(), { kri_extsvc_default___mes_: [], "kri_extsvc_default_zone-a__own_": [] });
});
