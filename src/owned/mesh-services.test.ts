import assert from "node:assert/strict";
import { test } from "node:test";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import { meshServices } from "#owned/mesh-services.ts";
import { type ProxyStatus, statusKey } from "#owned/proxy-insight.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

type Inbounds = NonNullable<DataplaneJson["networking"]>["inbound"];
const times = { creationTime: zeroTime, modificationTime: zeroTime };
const inboundOf = (service: string, port: number, more: object = {}) => ({
  ...{ port, name: "main", tags: { "kuma.io/service": service, "kuma.io/protocol": "http" } },
  ...more,
});

/** Writes what is wanted, as the writer does. */
/** `mode`: empty, where the Mesh says none. */
function stage(mode = "Exclusive", zone = "east") {
  const graph = incrementalGraph();
  const kinds = new Map(["Mesh", "Dataplane", "MeshService"].map((kind) => [kind, graph.source<Resource>(kind)]));
  const source = (kind: string) => {
    const found = kinds.get(kind);
    assert.ok(found);
    return found;
  };
  const statuses = graph.source<ProxyStatus>("statuses");
  const of = <Spec>(kind: string) => source(kind) as never as ReturnType<typeof graph.source<Resource<Spec>>>;
  const served = graph.source<readonly string[]>("served");
  const made = meshServices(graph, { zone, of, statuses, served });
  let writes = 0;
  const settle = () => {
    for (let round = 0; round < 5; round++) {
      const changes = graph.settle();
      for (const collection of [made.wanted, made.withStatus])
        for (const key of changes.get(collection) ?? []) {
          const resource = collection.get(key);
          if (!resource) continue;
          writes++;
          source("MeshService").set(keyOf(resource), resource);
        }
    }
  };
  return {
    made,
    settle,
    /** What the Envoy of an ingress has acknowledged. */
    leads(...keys: string[]) {
      served.set("ingress-1", keys);
      settle();
    },
    writes: () => writes,
    recomputed: (name: string) => graph.counts.recomputed.get(name) ?? 0,
    mesh(mode: string) {
      const mtls = { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin" }] };
      const spec = { mtls, ...(mode && { meshServices: { mode } }) };
      source("Mesh").set("default", { kind: "Mesh", mesh: "", name: "default", labels: {}, spec, ...times });
      settle();
    },
    dataplane(name: string, inbound: Inbounds | undefined) {
      const resource = { kind: "Dataplane", mesh: "default", name, labels: {}, ...times };
      const spec = inbound && { networking: { address: "127.0.0.1", inbound } };
      source("Dataplane").set(`default/${name}`, spec && ({ ...resource, spec } as unknown as Resource));
    },
    put: (resource: Resource) => source("MeshService").set(keyOf(resource), resource),
    connect(name: string) {
      const id = { kind: "Dataplane", mesh: "default", name };
      const subscription = { id: "1", controlPlane: "a", connectedAt: 1, disconnectedAt: undefined };
      const certificate = { backend: "ca-1", expiresAt: 2, issuedAt: 1, regenerations: 1 };
      const status = { id, subscription, metadata: {}, counters: {}, updatedAt: 1, refusals: [] };
      statuses.set(statusKey(id), { ...status, holds: { trusts: ["ca-1"], certificate } });
    },
    service: (name: string) => source("MeshService").get(`default/${name}`),
    start() {
      this.mesh(mode);
      return this;
    },
  };
}

test("a service of Dataplanes is a MeshService as Kuma writes it, with its status", () => {
  const on = stage().start();
  on.dataplane("backend-1", [inboundOf("backend", 80), { ...inboundOf("db", 81), name: "", protocol: "tcp" }]);
  on.dataplane("backend-2", [inboundOf("backend", 80, { state: "NotReady" })]);
  on.connect("backend-1");
  on.settle();
  const found = on.service("backend");
  assert.deepEqual(found?.labels, {
    "kuma.io/display-name": "backend",
    "kuma.io/env": "universal",
    "kuma.io/managed-by": "meshservice-generator",
    "kuma.io/mesh": "default",
    "kuma.io/origin": "zone",
    "kuma.io/zone": "east",
  });
  assert.deepEqual(found?.spec, {
    state: "Available",
    selector: { dataplaneTags: { "kuma.io/service": "backend" } },
    ports: [{ name: "main", port: 80, targetPort: 80, appProtocol: "http" }],
    identities: [
      { type: "ServiceTag", value: "backend" },
      { type: "ServiceTag", value: "db" },
    ],
  });
  assert.deepEqual(found?.status, {
    tls: { status: "NotReady" },
    dataplaneProxies: { connected: 1, healthy: 1, total: 2 },
  });
  assert.deepEqual(on.service("db")?.spec.ports, [{ name: "81", port: 81, targetPort: 81, appProtocol: "tcp" }]);
  on.connect("backend-2");
  on.settle();
  assert.deepEqual(on.service("backend")?.status?.tls, { status: "Ready" });
  on.dataplane("backend-3", [inboundOf("backend", 80)]);
  on.settle();
  assert.deepEqual(on.service("backend")?.status?.tls, { status: "Ready" }, "who was ready stays so");
});

test("without a mode, and for names that are none in DNS, nothing is made; what somebody else wrote is theirs", () => {
  for (const mode of ["", "Disabled"]) {
    const on = stage(mode).start();
    on.dataplane("backend-1", [inboundOf("backend", 80)]);
    on.settle();
    assert.equal(on.service("backend"), undefined);
  }
  const on = stage("Everywhere").start();
  const theirs = { kind: "MeshService", mesh: "default", name: "backend", labels: {}, spec: { ports: [] }, ...times };
  on.put(theirs);
  on.dataplane("backend-1", [inboundOf("backend", 80), inboundOf("old_name", 81, { name: "old" })]);
  on.settle();
  assert.equal(on.service("backend"), theirs);
  assert.equal(on.writes(), 0);
  assert.equal(on.made.abandoned.size, 0);
});

test("a service that loses its last Dataplane, or its mesh's mode, is abandoned and stays; it is taken up again", () => {
  const on = stage().start();
  on.dataplane("backend-1", [inboundOf("backend", 80)]);
  on.settle();
  on.mesh("Disabled");
  assert.deepEqual([...on.made.abandoned.keys()], ["default/backend"]);
  const before = on.service("backend");
  assert.ok(before);
  on.put({
    ...before,
    labels: { ...before.labels, "kuma.io/deletion-grace-period-started-at": "2026-01-01T00:00:00Z" },
  });
  on.mesh("Everywhere");
  assert.equal(on.made.abandoned.size, 0);
  assert.equal(on.service("backend")?.labels["kuma.io/deletion-grace-period-started-at"], undefined);
  on.dataplane("backend-1", undefined);
  on.settle();
  assert.equal(on.made.abandoned.size, 1);
  assert.deepEqual(on.service("backend")?.status?.dataplaneProxies, { connected: 0, healthy: 0, total: 0 });
});

test("in a mesh that makes none any more a service goes on until it is deleted: it is there as long as somebody provides it", () => {
  const on = stage().start();
  on.dataplane("backend-1", [inboundOf("backend", 80)]);
  on.settle();
  on.mesh("Disabled");
  assert.equal(on.service("backend")?.spec.state, "Available");
  on.dataplane("backend-1", [inboundOf("backend", 80, { state: "NotReady" })]);
  on.dataplane("more", [inboundOf("more", 80)]);
  on.settle();
  assert.equal(on.service("backend")?.spec.state, "Unavailable");
  assert.equal(on.service("more"), undefined);
  on.dataplane("backend-1", [inboundOf("backend", 80)]);
  on.settle();
  assert.equal(on.service("backend")?.spec.state, "Available");
  on.dataplane("backend-1", undefined);
  on.settle();
  assert.equal(on.service("backend")?.spec.state, "Unavailable");
});

test("other zones are told of a service, and of a port of it, when an ingress leads there", () => {
  const on = stage().start();
  const led = (port: number) => `default/default_backend__east_msvc_${port}`;
  const state = () => on.service("backend")?.spec.state;
  on.leads();
  on.dataplane("backend-1", [inboundOf("backend", 80)]);
  on.settle();
  assert.equal(state(), "Unavailable");
  on.leads(led(80));
  assert.equal(state(), "Available");
  // An ingress that is made anew takes nothing back.
  on.leads();
  assert.equal(state(), "Available");
  on.dataplane("backend-1", [inboundOf("backend", 81)]);
  on.settle();
  assert.equal(state(), "Unavailable");
  on.leads(led(80), led(81));
  assert.equal(state(), "Available");
  // A port more takes nothing from who calls the others.
  on.dataplane("backend-1", [inboundOf("backend", 81), inboundOf("backend", 82, { name: "more" })]);
  on.settle();
  assert.equal(state(), "Available");
});

test("ports stay as they are while any Dataplane has them", () => {
  const on = stage().start();
  on.dataplane("b", [inboundOf("backend", 80)]);
  on.settle();
  on.dataplane("a", [inboundOf("backend", 81)]);
  on.settle();
  const portIn = () => ((on.service("backend")?.spec.ports ?? []) as { port: number }[]).map(({ port }) => port);
  assert.deepEqual(portIn(), [80]);
  on.dataplane("b", [inboundOf("backend", 81)]);
  on.settle();
  assert.deepEqual(portIn(), [81]);
});

test("an instance more recomputes its own service only, for itself and for the status, which alone is written", () => {
  const on = stage().start();
  for (let i = 0; i < 50; i++) on.dataplane(`backend-${i}`, [inboundOf(`backend-${i}`, 80)]);
  on.settle();
  const [before, writes] = [on.recomputed("wanted MeshServices"), on.writes()];
  on.dataplane("more", [inboundOf("backend-7", 80)]);
  on.settle();
  assert.equal(on.recomputed("wanted MeshServices") - before, 2);
  assert.equal(on.writes() - writes, 1);
});
