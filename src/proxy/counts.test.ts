import assert from "node:assert/strict";
import { test } from "node:test";
import type { Source } from "#incremental/collection.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import type { JsonObject } from "#lib/json.ts";
import { bundlesOf } from "#proxy/bundle.ts";
import { proxyPipeline } from "#proxy/pipeline.ts";
import type { IssuedCertificate } from "#proxy/secrets.ts";
import { kinds } from "#resources/kinds.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import type { Mark } from "#topology/provider.ts";

const resource = (kind: string, mesh: string, name: string, spec: JsonObject): Resource => ({
  kind,
  mesh,
  name,
  labels: {},
  spec,
  creationTime: zeroTime,
  modificationTime: zeroTime,
});

/** Provides one service and calls five. */
const dataplane = (i: number, address = `10.0.${i >> 8}.${i & 255}`): Resource =>
  resource("Dataplane", "default", `dp-${i}`, {
    networking: {
      address,
      inbound: [{ port: 8080, tags: { "kuma.io/service": `s-${i % 50}`, "kuma.io/protocol": "http" } }],
      outbound: Array.from({ length: 5 }, (_, n) => ({
        port: 9000 + n,
        tags: { "kuma.io/service": `s-${(i + n) % 50}` },
      })),
    },
  });

function meshOf(proxies: number, more: readonly Resource[] = []) {
  const graph = incrementalGraph();
  const sources = new Map<string, Source<Resource>>(kinds.map(({ name }) => [name, graph.source<Resource>(name)]));
  const certificates = graph.source<IssuedCertificate>("certificates");
  const of = (kind: string) => sources.get(kind)!;
  const marked = graph.source<Mark>("marked");
  const pipeline = proxyPipeline(
    graph,
    { of: (kind) => of(kind) as never, certificates, marked, departed: graph.source("departed") },
    "zone-a",
  );
  const set = (one: Resource): void => of(one.kind).set(keyOf(one), one);
  const backends = [{ name: "ca-1", type: "builtin" }];
  set(resource("Mesh", "", "default", { mtls: { enabledBackend: "ca-1", backends } }));
  set(resource("Secret", "default", "default.ca-builtin-cert-ca-1", { data: "Y2E=" }));
  set(
    resource("MeshTimeout", "default", "t", {
      to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: "3s" } }],
    }),
  );
  for (let i = 0; i < proxies; i++) {
    set(dataplane(i));
    certificates.set(`default/dp-${i}`, { mesh: "default", chain: "Yw==", privateKey: "aw==" });
  }
  for (const one of more) set(one);
  graph.settle();
  const start = new Map(graph.counts.recomputed);
  const since = () =>
    Object.fromEntries(
      [...graph.counts.recomputed].flatMap(([name, n]) => {
        const count = n - (start.get(name) ?? 0);
        return count > 0 ? [[name, count]] : [];
      }),
    );
  return { graph, pipeline, marked, set, since };
}

/** At which other zones arrive. */
const ingress = resource("ZoneIngress", "", "ingress", { networking: { address: "10.1.0.1", port: 10001 } });

test("one endpoint among 1,000 proxies and 50 services: one assignment is encoded, and little is looked at", () => {
  const { graph, pipeline, set, since } = meshOf(1_000);
  const tags = { "kuma.io/service": "s-7", "kuma.io/protocol": "http" };
  const inbound = [{ port: 8080, tags }];
  // Not one of the proxies: what is measured is what it costs the others.
  set(resource("Dataplane", "default", "new", { networking: { address: "10.9.9.9", inbound } }));
  const changes = graph.settle();
  const total = Object.values(since()).reduce((sum, n) => sum + n, 0);
  assert.ok(total <= 60, `${total} keys: ${JSON.stringify(since())}`);
  assert.equal(since().assignments, 1);
  const ofOthers = pipeline.bundles.flatMap((from) =>
    [...(changes.get(from) ?? [])].filter((key) => key !== "default/new").map((key) => `${from.name} ${key}`),
  );
  assert.deepEqual(ofOthers, ["assignments default/s-7"]);
  assert.deepEqual(
    [...(changes.get(pipeline.dataplanes) ?? [])].filter((key) => key !== "default/new"),
    [],
  );
});

test("one endpoint among 200 proxies and 50 services: its own proxy, one assignment for clients, one for ingresses", () => {
  const { graph, pipeline, set, since } = meshOf(200, [ingress]);
  assert.equal(pipeline.dataplanes.size, 200);
  set(dataplane(7, "10.9.9.9"));
  const changes = graph.settle();
  assert.deepEqual(since(), {
    provided: 1,
    instances: 1,
    "instances behind ingresses": 1,
    "local facts": 1,
    "transparent proxies": 1,
    "explicit outbounds": 1,
    "chosen gateways": 1,
    clients: 1,
    inbounds: 1,
    "inbounds as routed": 1,
    "inbounds as listening": 1,
    "own routes": 1,
    "own listeners": 1,
    assignments: 1,
    "proxies with inbounds": 1,
    "ingress targets": 1,
    "ingress assignments": 1,
  });
  const changed = Object.fromEntries([...changes].map(([collection, keys]) => [collection.name, keys.size]));
  // Beside the source and what is grouped by service: its listeners, and the two assignments. No other proxy's entry.
  assert.deepEqual(changed, {
    Dataplane: 1,
    provided: 1,
    instances: 1,
    "provided or departed": 1,
    "instances behind ingresses": 1,
    inbounds: 1,
    "inbounds as routed": 1,
    "inbounds as listening": 1,
    "own routes": 1,
    "own listeners": 1,
    assignments: 1,
    "ingress assignments": 1,
  });
});

test("one proxy that begins to serve: one assignment for clients, one for ingresses, and nothing of any proxy's own", () => {
  const { graph, marked, since } = meshOf(200, [ingress]);
  marked.set("default/dp-7", "doubtful");
  graph.settle();
  assert.deepEqual(since(), {
    provided: 1,
    instances: 1,
    "instances behind ingresses": 1,
    "local facts": 1,
    assignments: 1,
    "ingress targets": 1,
    "ingress assignments": 1,
  });
});

test("a timeout for the mesh is encoded once for each service, and recomputes nothing of a proxy but which policies it has", () => {
  const { graph, set, since } = meshOf(200);
  set(
    resource("MeshTimeout", "default", "t", {
      to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: "4s" } }],
    }),
  );
  graph.settle();
  const counts = since();
  assert.equal(counts["cluster bundles"], 50);
  for (const name of [
    "outbound route bundles",
    "outbound listeners",
    "own routes",
    "own listeners",
    "dataplane configs",
  ])
    assert.equal(counts[name], undefined, name);
});

test("listeners of clients that call the same services at the same addresses are encoded once", () => {
  const { pipeline } = meshOf(200);
  const listeners = pipeline.bundles.find(({ name }) => name === "outbound listeners");
  // 200 proxies of 50 kinds with five outbounds each.
  assert.equal(listeners?.size, 250);
});

test("a permission for the mesh encodes a route for each proxy, and no listener", () => {
  const { graph, set, since } = meshOf(200);
  const spec = { from: [{ targetRef: { kind: "Mesh" }, default: { action: "Allow" } }] };
  set(resource("MeshTrafficPermission", "default", "allow", spec));
  graph.settle();
  const counts = since();
  assert.equal(counts["own routes"], 200);
  assert.equal(counts["own listeners"], undefined);
});

test("a route that no longer leads to another service takes nothing from the proxies that call it themselves", () => {
  const { graph, pipeline, set } = meshOf(200);
  const routeTo = (name: string) =>
    resource("MeshHTTPRoute", "default", "route", {
      to: [
        {
          targetRef: { kind: "MeshService", name: "s-0" },
          rules: [
            {
              matches: [{ path: { type: "PathPrefix", value: "/" } }],
              default: { backendRefs: [{ kind: "MeshService", name, weight: 1 }] },
            },
          ],
        },
      ],
    });
  const clustersOf = (proxy: string) =>
    bundlesOf(pipeline.dataplanes.get(proxy) ?? assert.fail(proxy))
      .flatMap(({ from, key }) => from.get(key) ?? [])
      .flatMap(({ type, item }) => (type === "cluster" && item.name.startsWith("s-") ? [item.name] : []))
      .sort();
  set(routeTo("s-1"));
  graph.settle();
  // It calls s-0 to s-4 itself, and s-0 leads to s-1.
  assert.deepEqual(clustersOf("default/dp-0"), ["s-1", "s-2", "s-3", "s-4"]);
  set(routeTo("s-9"));
  graph.settle();
  assert.deepEqual(clustersOf("default/dp-0"), ["s-1", "s-2", "s-3", "s-4", "s-9"]);
});

test("affinity: endpoints are encoded once for each value of the tag that a policy names, clusters and routes once for all", () => {
  const nodes = 4;
  const onNode = (i: number): Resource => {
    const tags = {
      "kuma.io/service": `s-${i % 50}`,
      "kuma.io/protocol": "http",
      node: `n-${i % nodes}`,
      rack: `r-${i}`,
    };
    const outbound = [{ port: 9000, tags: { "kuma.io/service": "s-0" } }];
    const networking = { address: `10.0.0.${i}`, inbound: [{ port: 8080, tags }], outbound };
    return resource("Dataplane", "default", `dp-${i}`, { networking });
  };
  const { graph, pipeline, set, since } = meshOf(100);
  const sizeOf = (name: string) => pipeline.bundles.find((one) => one.name === name)?.size;
  for (let i = 0; i < 100; i++) set(onNode(i));
  graph.settle();
  assert.deepEqual(["cluster bundles", "outbound route bundles", "assignments"].map(sizeOf), [1, 1, 1]);
  const strategy = (conf: JsonObject) =>
    set(
      resource("MeshLoadBalancingStrategy", "default", "near", {
        to: [{ targetRef: { kind: "Mesh" }, default: { localityAwareness: conf } }],
      }),
    );
  strategy({ localZone: { affinityTags: [{ key: "node" }] } });
  graph.settle();
  // And one for who has no such tag.
  assert.deepEqual(["cluster bundles", "outbound route bundles", "assignments"].map(sizeOf), [1, 1, nodes + 1]);
  const assignmentOf = (i: number) =>
    bundlesOf(pipeline.dataplanes.get(`default/dp-${i}`) ?? assert.fail(`dp-${i}`)).filter(
      ({ from }) => from.name === "assignments",
    );
  assert.deepEqual(assignmentOf(1), assignmentOf(1 + nodes));
  assert.notDeepEqual(assignmentOf(1), assignmentOf(2));
  const before = since().assignments ?? 0;
  set({
    ...onNode(0),
    spec: { networking: { address: "10.0.9.9", inbound: [{ port: 8080, tags: { "kuma.io/service": "s-0" } }] } },
  });
  graph.settle();
  assert.equal((since().assignments ?? 0) - before, nodes + 1);
  strategy({});
  graph.settle();
  assert.deepEqual(["cluster bundles", "assignments"].map(sizeOf), [1, 1]);
});

test("affinity: a builtin gateway has the endpoints of its own proxy's tags, with whoever has the same; listeners say nothing of it", () => {
  const { graph, pipeline, set } = meshOf(3);
  const onNode = (name: string, node: string) =>
    resource("Dataplane", "default", name, {
      networking: {
        address: "10.0.0.1",
        inbound: [{ port: 8080, tags: { "kuma.io/service": "s-0", "kuma.io/protocol": "http", node } }],
        outbound: [{ port: 9000, tags: { "kuma.io/service": "s-0" } }],
      },
    });
  const gateway = (node: string) =>
    resource("Dataplane", "default", "dp-2", {
      networking: { address: "10.0.0.2", gateway: { type: "BUILTIN", tags: { "kuma.io/service": "edge", node } } },
    });
  const match = { "kuma.io/service": "edge" };
  set(
    resource("MeshGateway", "default", "edge", {
      selectors: [{ match }],
      conf: { listeners: [{ port: 80, protocol: "HTTP", tags: { node: "n-0" } }] },
    }),
  );
  const rules = [
    {
      matches: [{ path: { type: "PathPrefix", value: "/" } }],
      default: { backendRefs: [{ kind: "MeshService", name: "s-0" }] },
    },
  ];
  set(
    resource("MeshHTTPRoute", "default", "route", {
      targetRef: { kind: "MeshGateway", name: "edge" },
      to: [{ targetRef: { kind: "Mesh" }, rules }],
    }),
  );
  set(
    resource("MeshLoadBalancingStrategy", "default", "near", {
      to: [
        {
          targetRef: { kind: "Mesh" },
          default: { localityAwareness: { localZone: { affinityTags: [{ key: "node" }] } } },
        },
      ],
    }),
  );
  for (const one of [onNode("dp-0", "n-0"), onNode("dp-1", "n-1"), gateway("n-1")]) set(one);
  graph.settle();
  const assignmentsOf = (name: string) =>
    bundlesOf(pipeline.dataplanes.get(`default/${name}`) ?? assert.fail(name)).flatMap(({ from, key }) =>
      from.name === "assignments" && from.get(key) ? [key] : [],
    );
  const [ofNode0, ofNode1] = [assignmentsOf("dp-0"), assignmentsOf("dp-1")];
  assert.equal(ofNode1.length, 1);
  assert.notDeepEqual(ofNode0, ofNode1);
  assert.deepEqual(assignmentsOf("dp-2"), ofNode1);
  set(gateway("n-2"));
  graph.settle();
  const [alone, ...more] = assignmentsOf("dp-2");
  assert.deepEqual(more, []);
  assert.ok(alone !== undefined && ![...ofNode0, ...ofNode1].includes(alone), alone);
});
