// Services that are resources, as the proxies of a zone get them: its own instances by a selector, other zones by their ingresses.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import {
  backendSpec,
  byRef,
  cluster,
  dataplane,
  endpointsIn,
  ingressOf,
  meshService,
  own,
  remoteLabels,
  resource,
  stage,
} from "#proxy/services.fixture.ts";
import type { Resource } from "#resources/resource.ts";

test("a MeshService of this zone is called at its own cluster, for its instances and their identities", () => {
  const { set, client } = stage(byRef("backend"), [
    dataplane("b-1", "10.0.0.1", "backend"),
    dataplane("other", "10.0.0.2", "other"),
    meshService("backend", backendSpec),
  ]);
  assert.deepEqual(endpointsIn(client("endpoint", cluster)), ["0 10.0.0.1:8080 1"]);
  const text = JSON.stringify(client("cluster", cluster));
  assert.match(text, /"sni":"a[0-9a-f]{16}\.backend\.8080\.default\.ms"/);
  assert.match(text, /"exact":"spiffe:\/\/default\/backend".*"exact":"spiffe:\/\/default\/db"/);
  assert.ok(client("listener", "outbound:127.0.0.1:9000"));
  assert.ok(client("listener", "outbound:241.0.0.1:8080"), "and at its address");
  set(dataplane("b-2", "10.0.0.3", "backend"));
  assert.deepEqual(endpointsIn(client("endpoint", cluster)), ["0 10.0.0.1:8080 1", "0 10.0.0.3:8080 1"]);
});

test("who wrote it chooses by name, by labels or by tags, and the inbound by its port or its name", () => {
  const spec = (selector: JsonObject, targetPort: number | string = "main") => ({
    selector,
    ports: [{ port: 80, targetPort, appProtocol: "http" }],
  });
  const name = "default_mine__zone-a_msvc_80";
  const { set, client } = stage(byRef("mine", 80), [
    dataplane("b-1", "10.0.0.1", "backend", { version: "v1" }, { team: "shop" }),
    dataplane("b-2", "10.0.0.2", "backend", { version: "v2" }, { team: "bank" }),
  ]);
  const chosen = (selector: JsonObject, targetPort?: number | string) => {
    set(meshService("mine", spec(selector, targetPort)));
    return endpointsIn(client("endpoint", name)).map((one) => one.split(" ")[1]);
  };
  assert.deepEqual(chosen({ dataplaneRef: { name: "b-2" } }), ["10.0.0.2:8080"]);
  assert.deepEqual(chosen({ dataplaneLabels: { matchLabels: { team: "shop" } } }), ["10.0.0.1:8080"]);
  assert.deepEqual(chosen({ dataplaneTags: { "kuma.io/service": "backend", version: "v2" } }), ["10.0.0.2:8080"]);
  assert.deepEqual(chosen({ dataplaneTags: { "kuma.io/service": "backend" } }, 8080).length, 2);
  assert.deepEqual(chosen({ dataplaneTags: { "kuma.io/service": "backend" } }, 8081), []);
  assert.deepEqual(chosen({}), []);
  assert.deepEqual(chosen({ dataplaneTags: { version: "v3" } }), []);
});

test("one of another zone is called through those of its ingresses that lead to it, while it is available", () => {
  const remote = "default_backend__zone-b_msvc_8080";
  const { set, client } = stage(byRef("backend-x"), [
    dataplane("b-1", "10.0.0.1", "backend"),
    meshService("backend", backendSpec),
    meshService("backend-x", backendSpec, remoteLabels, "241.0.0.2"),
    ingressOf("zone-b", "i-1", "10.2.0.1", 3),
    ingressOf("zone-b", "i-2", "10.2.0.2", 0),
    ingressOf("zone-c", "i-3", "10.3.0.1", 1),
  ]);
  assert.deepEqual(endpointsIn(client("endpoint", remote)), ["1 10.2.0.1:10001 3"]);
  assert.match(JSON.stringify(client("cluster", remote)), /\.backend\.8080\.default\.ms"/);
  assert.deepEqual(endpointsIn(client("endpoint", cluster)), ["0 10.0.0.1:8080 1"], "and ours is ours alone");
  // A zone whose ingresses say nothing of services by tag, as one of Kuma in an Exclusive mesh.
  set(ingressOf("zone-b", "i-1", "10.2.0.1", 0));
  assert.deepEqual(endpointsIn(client("endpoint", remote)), ["1 10.2.0.1:10001 1", "1 10.2.0.2:10001 1"]);
  set(meshService("backend-x", { ...backendSpec, state: "Unavailable" }, remoteLabels));
  assert.deepEqual(endpointsIn(client("endpoint", remote)), []);
});

test("other zones ask for each port by its SNI, and are led to the instances here", () => {
  const { ingress, pipeline } = stage(
    [],
    [
      dataplane("b-1", "10.0.0.1", "backend"),
      meshService("backend", backendSpec),
      ingressOf("", "ingress-a", "10.1.0.1", 0),
    ],
  );
  const text = JSON.stringify(ingress("listener", "inbound:10.1.0.1:10001"));
  assert.match(text, /"serverNames":\["a[0-9a-f]{16}\.backend\.8080\.default\.ms"\]/);
  assert.deepEqual(endpointsIn(ingress("endpoint", cluster)), ["0 10.0.0.1:8080 1"]);
  assert.ok(pipeline.ingressServices.get("ingress-a")?.includes(`default/${cluster}`));
});

test("a mesh that leaves its zone through egresses comes to other zones' MeshServices through them, too", () => {
  const remote = "default_backend__zone-b_msvc_8080";
  const mtls = { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin" }] };
  const { set, client, egress } = stage(byRef("backend-x"), [
    resource("Mesh", "default", { mtls, routing: { zoneEgress: true } }),
    meshService("backend-x", backendSpec, remoteLabels, "241.0.0.2"),
    ingressOf("zone-b", "i-1", "10.2.0.1", 3),
  ]);
  assert.deepEqual(endpointsIn(client("endpoint", remote)), []);
  assert.match(JSON.stringify(client("route", `outbound:${remote}`)), /no way out of zone-a/);
  set(resource("ZoneEgress", "egress-a", { networking: { address: "10.0.0.5", port: 10002 } }));
  assert.deepEqual(endpointsIn(client("endpoint", remote)), ["1 10.0.0.5:10002 3"]);
  assert.match(JSON.stringify(egress("listener", "inbound:10.0.0.5:10002")), /\.backend\.8080\.default\.ms"/);
  assert.deepEqual(endpointsIn(egress("endpoint", remote)), ["0 10.2.0.1:10001 3"]);
  // A zone whose ingresses say nothing of services by tag.
  set(ingressOf("zone-b", "i-1", "10.2.0.1", 0));
  assert.deepEqual(endpointsIn(egress("endpoint", remote)), ["0 10.2.0.1:10001 1"]);
  assert.deepEqual(endpointsIn(egress("endpoint", "kodiak:zone:zone-b")), ["0 10.2.0.1:10001 1"]);
});

test("one of all zones has this zone's instances first, each once, then others' ingresses; all its services' identities", () => {
  const all = "default_backends___mzsvc_8080";
  const multiZone = resource(
    "MeshMultiZoneService",
    "backends",
    {
      selector: { meshService: { matchLabels: { "kuma.io/display-name": "backend" } } },
      ports: [{ port: 8080, appProtocol: "http" }, { port: 8081 }],
    },
    { "kuma.io/display-name": "backends" },
    { vips: [{ ip: "243.0.0.1" }] },
  );
  const byPort = (port: number) => ({ port, backendRef: { kind: "MeshMultiZoneService", name: "backends", port } });
  const { set, remove, client, ingress } = stage(
    [byPort(8080), byPort(8081)],
    [
      dataplane("b-1", "10.0.0.1", "backend"),
      meshService("backend", backendSpec),
      // The same instances once more.
      meshService("again", backendSpec, { ...own, "kuma.io/display-name": "backend" }, "241.0.0.4"),
      meshService(
        "backend-x",
        { ...backendSpec, identities: [{ type: "SpiffeID", value: "spiffe://b/x" }] },
        remoteLabels,
      ),
      meshService("other", { ...backendSpec, selector: { dataplaneTags: { "kuma.io/service": "client" } } }),
      ingressOf("zone-b", "i-1", "10.2.0.1", 3),
      ingressOf("", "ingress-a", "10.1.0.1", 0),
      multiZone,
    ],
  );
  assert.deepEqual(endpointsIn(client("endpoint", all)), ["0 10.0.0.1:8080 1", "1 10.2.0.1:10001 3"]);
  const text = JSON.stringify(client("cluster", all));
  assert.match(text, /"sni":"a[0-9a-f]{16}\.backends\.8080\.default\.mzms"/);
  assert.match(text, /spiffe:\/\/b\/x.*spiffe:\/\/default\/backend.*spiffe:\/\/default\/db/);
  assert.deepEqual(endpointsIn(client("endpoint", "default_backends___mzsvc_8081")), [], "nobody has that port");
  // Other zones come for those of this one only.
  assert.deepEqual(endpointsIn(ingress("endpoint", all)), ["0 10.0.0.1:8080 1"]);
  assert.match(JSON.stringify(ingress("listener", "inbound:10.1.0.1:10001")), /\.backends\.8080\.default\.mzms/);
  const wanted = { localityAwareness: { crossZone: { failover: [{ to: { type: "None" } }] } } };
  set(
    resource("MeshLoadBalancingStrategy", "own-zone", {
      to: [
        {
          targetRef: { kind: "MeshMultiZoneService", labels: { "kuma.io/display-name": "backends" } },
          default: wanted,
        },
      ],
    }),
  );
  assert.deepEqual(endpointsIn(client("endpoint", all)), ["0 10.0.0.1:8080 1"]);
  remove("MeshLoadBalancingStrategy", "default/own-zone");
  set(meshService("backend-x", backendSpec, { ...remoteLabels, "kuma.io/display-name": "else" }));
  assert.deepEqual(endpointsIn(client("endpoint", all)), ["0 10.0.0.1:8080 1"]);
  remove("MeshMultiZoneService", "default/backends");
  assert.equal(client("cluster", all), undefined);
});

test("several MeshServices of another zone that are parts of one weigh as all their instances, behind each of its ingresses", () => {
  const part = (version: string): Resource =>
    meshService(
      `backend-${version}`,
      { ...backendSpec, selector: { dataplaneTags: { "kuma.io/service": "backend", version } } },
      { ...remoteLabels, "kuma.io/display-name": `backend-${version}`, app: "backend" },
    );
  const offered = Object.entries({ v1: 3, v2: 5 }).map(([version, instances]) => ({
    ...{ mesh: "default", instances, tags: { "kuma.io/service": "backend", version } },
  }));
  const leading = (name: string, address: string): Resource => {
    const ingress = ingressOf("zone-b", name, address, 0);
    return { ...ingress, spec: { ...(ingress.spec as JsonObject), availableServices: offered } };
  };
  const ref = { kind: "MeshMultiZoneService", name: "backends", port: 8080 };
  const { client } = stage(
    [{ port: 8080, backendRef: ref }],
    [
      ...["v1", "v2"].map(part),
      ...[leading("i-1", "10.2.0.1"), leading("i-2", "10.2.0.2")],
      resource(
        "MeshMultiZoneService",
        "backends",
        {
          selector: { meshService: { matchLabels: { app: "backend" } } },
          ports: [{ port: 8080, appProtocol: "http" }],
        },
        { "kuma.io/display-name": "backends" },
        { vips: [{ ip: "243.0.0.1" }] },
      ),
    ],
  );
  assert.deepEqual(endpointsIn(client("endpoint", "default_backends___mzsvc_8080")), [
    "1 10.2.0.1:10001 8",
    "1 10.2.0.2:10001 8",
  ]);
});

test("a proxy that claims a resource's name as its tag is none of its instances", () => {
  const { client } = stage(byRef("backend"), [
    dataplane("b-1", "10.0.0.1", "backend"),
    dataplane("thief", "10.0.0.6", cluster),
    meshService("backend", backendSpec),
  ]);
  assert.deepEqual(endpointsIn(client("endpoint", cluster)), ["0 10.0.0.1:8080 1"]);
});

test("policies and routes mean it by labels or by name, and its port by name or number", () => {
  const to = (targetRef: JsonObject, connectionTimeout: string) => ({ targetRef, default: { connectionTimeout } });
  const ref = { kind: "MeshService", labels: { "kuma.io/display-name": "backend" } };
  const { set, client } = stage(
    [...byRef("backend"), { port: 9001, backendRef: { kind: "MeshService", name: "shop", port: 8080 } }],
    [
      dataplane("b-1", "10.0.0.1", "backend"),
      dataplane("s-1", "10.0.0.2", "shop"),
      meshService("backend", backendSpec),
      meshService(
        "shop",
        { ...backendSpec, selector: { dataplaneTags: { "kuma.io/service": "shop" } } },
        own,
        "241.0.0.3",
      ),
      resource("MeshTimeout", "t", { to: [to({ kind: "Mesh" }, "3s"), to({ ...ref, sectionName: "main" }, "4s")] }),
    ],
  );
  const timeoutOf = (name: string) => client("cluster", name)?.connectTimeout;
  assert.equal(timeoutOf(cluster), "4s");
  assert.equal(timeoutOf("default_shop__zone-a_msvc_8080"), "3s");
  set(resource("MeshTimeout", "t", { to: [to({ ...ref, sectionName: "else" }, "4s")] }));
  assert.notEqual(timeoutOf(cluster), "4s");

  const routed = () => JSON.stringify(client("route", "outbound:default_shop__zone-a_msvc_8080"));
  const route = (backendRef: JsonObject) =>
    resource("MeshHTTPRoute", "r", {
      to: [
        {
          targetRef: { kind: "MeshService", labels: { "kuma.io/display-name": "shop" } },
          rules: [
            {
              matches: [{ path: { type: "PathPrefix", value: "/" } }],
              default: { backendRefs: [{ kind: "MeshService", weight: 1, ...backendRef }] },
            },
          ],
        },
      ],
    });
  set(route({ labels: { "kuma.io/display-name": "backend" }, port: 8080 }));
  assert.match(routed(), new RegExp(`"cluster":"${cluster}"`));
  set(route({ labels: { "kuma.io/display-name": "backend" }, sectionName: "main" }));
  assert.match(routed(), new RegExp(`"cluster":"${cluster}"`));
  set(route({ labels: { "kuma.io/display-name": "backend" }, port: 8081 }));
  assert.match(routed(), /no backend of this route is known/);
});

test("a gateway's routes lead to services that are resources, too: of the zone, of another, and outside", () => {
  const refs = [
    { kind: "MeshService", labels: { "kuma.io/display-name": "backend", "kuma.io/zone": "zone-a" }, port: 8080 },
    { kind: "MeshService", labels: { "kuma.io/zone": "zone-b" }, sectionName: "main" },
    { kind: "MeshExternalService", name: "bank" },
    { kind: "MeshService", labels: { "kuma.io/zone": "zone-c" }, port: 8080 },
  ];
  const gateway = { gateway: { type: "BUILTIN", tags: { "kuma.io/service": "edge" } }, address: "10.0.0.7" };
  const bank = { match: { port: 9000, protocol: "http" }, endpoints: [{ address: "192.0.2.1", port: 443 }] };
  const { names, client, set } = stage(
    [],
    [
      dataplane("b-1", "10.0.0.1", "backend"),
      meshService("backend", backendSpec),
      meshService("backend-x", backendSpec, remoteLabels, "241.0.0.2"),
      ingressOf("zone-b", "i-1", "10.2.0.1", 3),
      resource("MeshExternalService", "bank", bank, { "kuma.io/origin": "global" }),
      resource("MeshGateway", "edge", {
        selectors: [{ match: { "kuma.io/service": "edge" } }],
        conf: { listeners: [{ port: 80, protocol: "HTTP" }] },
      }),
      resource("MeshHTTPRoute", "edge", {
        targetRef: { kind: "MeshGateway", name: "edge" },
        to: [
          {
            targetRef: { kind: "Mesh" },
            rules: [{ matches: [{ path: { type: "PathPrefix", value: "/" } }], default: { backendRefs: refs } }],
          },
        ],
      }),
    ],
  );
  set(resource("Dataplane", "client", { networking: gateway }));
  assert.deepEqual(
    names("cluster").sort(),
    ["default_backend__zone-b_msvc_8080", cluster, "default_bank___extsvc_9000"].sort(),
  );
  const weighted = /"weightedClusters":\{"clusters":\[(.*?)\]/.exec(
    JSON.stringify(client("route", names("route")[0] ?? "")),
  );
  assert.equal(weighted?.[1]?.match(/"name"/g)?.length, 3, "what there is");
});

test("what proxies are sent of resources is what their reachableBackends name, and nothing in a mesh that wants names", () => {
  const redirect = (reachableBackends?: JsonObject) =>
    resource("Dataplane", "client", {
      networking: {
        address: "10.0.0.9",
        transparentProxying: { redirectPortOutbound: 15001, ...(reachableBackends && { reachableBackends }) },
        inbound: [{ port: 8080, tags: { "kuma.io/service": "client" } }],
      },
    });
  const { set, names } = stage(
    [],
    [
      dataplane("b-1", "10.0.0.1", "backend"),
      meshService("backend", { ...backendSpec, ports: [...backendSpec.ports, { port: 81 }] }),
      meshService("shop", backendSpec, own, "241.0.0.3"),
    ],
  );
  const virtual = () =>
    names("listener")
      .filter((name) => name.startsWith("outbound:241"))
      .sort();
  assert.deepEqual(virtual(), ["outbound:241.0.0.1:8080", "outbound:241.0.0.1:81", "outbound:241.0.0.3:8080"]);
  set(redirect({ refs: [{ kind: "MeshService", name: "backend", port: 8080 }] }));
  assert.deepEqual(virtual(), ["outbound:241.0.0.1:8080"]);
  set(redirect({ refs: [{ kind: "MeshService", labels: { "kuma.io/zone": "zone-a" } }] }));
  assert.equal(virtual().length, 3);
  set(redirect({}));
  assert.deepEqual(virtual(), []);
  set(redirect());
  assert.equal(virtual().length, 3);
  set(resource("Mesh", "default", { meshServices: { mode: "ReachableBackends" } }));
  assert.deepEqual(virtual(), []);
  set(redirect({ refs: [{ kind: "MeshService", name: "shop" }] }));
  assert.deepEqual(virtual(), ["outbound:241.0.0.3:8080"]);
});

test("an instance that comes recomputes itself and what it is in; a status, nothing but names", () => {
  const others = Array.from({ length: 20 }, (_, i) => [
    dataplane(`o-${i}`, `10.1.0.${i}`, `o-${i}`),
    meshService(
      `o-${i}`,
      { ...backendSpec, selector: { dataplaneTags: { "kuma.io/service": `o-${i}` } } },
      own,
      `241.0.1.${i}`,
    ),
  ]).flat();
  const { graph, set } = stage(byRef("backend"), [
    dataplane("b-1", "10.0.0.1", "backend"),
    meshService("backend", backendSpec),
    ingressOf("", "ingress-a", "10.1.0.1", 0),
    ...others,
  ]);
  const counted = (change: () => void) => {
    const before = new Map(graph.counts.recomputed);
    change();
    return Object.fromEntries(
      [
        "provided",
        "facts of MeshServices",
        "assignments",
        "ingress assignments",
        "cluster bundles",
        "outbounds",
        "reaches",
      ].map((name) => [name, (graph.counts.recomputed.get(name) ?? 0) - (before.get(name) ?? 0)]),
    );
  };
  // By its tag and as a MeshService.
  assert.deepEqual(
    counted(() => set(dataplane("b-2", "10.0.0.3", "backend"))),
    {
      ...{ provided: 1, "facts of MeshServices": 0, assignments: 1, "ingress assignments": 2 },
      ...{ "cluster bundles": 0, outbounds: 0, reaches: 1 },
    },
  );
  const status = { vips: [{ ip: "241.0.0.1" }], dataplaneProxies: { total: 2 } };
  assert.deepEqual(
    counted(() => set({ ...meshService("backend", backendSpec), status })),
    {
      ...{ provided: 0, "facts of MeshServices": 1, assignments: 0, "ingress assignments": 0 },
      ...{ "cluster bundles": 0, outbounds: 0, reaches: 0 },
    },
  );
});

test("a port leads to those ingresses of another zone that name it, with their counts, where the zone names any", () => {
  const [remote, second] = ["default_backend__zone-b_msvc_8080", "default_backend__zone-b_msvc_8081"];
  const all = "default_backends___mzsvc_8080";
  const naming = (name: string, zone: string, address: string, ports: Readonly<Record<string, number>>): Resource => {
    const entries = Object.entries(ports).map(([port, instances]) => ({
      ...{ mesh: "", instances, tags: { "kuma.io/service": port } },
    }));
    const { spec, ...one } = ingressOf(zone, name, address, 3);
    const { availableServices } = spec as { availableServices: JsonObject[] };
    const labels = { "kodiak.io/names-ports": "true" };
    return { ...one, labels, spec: { ...spec, availableServices: [...availableServices, ...entries] } };
  };
  const twoPorts = { ...backendSpec, ports: [...backendSpec.ports, { port: 8081 }] };
  const multiZone = resource("MeshMultiZoneService", "backends", {
    selector: { meshService: { matchLabels: { "kuma.io/display-name": "backend" } } },
    ports: [{ port: 8080, appProtocol: "http" }],
  });
  const { set, client } = stage(
    [
      ...byRef("backend-x"),
      { port: 9001, backendRef: { kind: "MeshService", name: "backend-x", port: 8081 } },
      { port: 9002, backendRef: { kind: "MeshMultiZoneService", name: "backends", port: 8080 } },
    ],
    [
      meshService("backend-x", twoPorts, remoteLabels, "241.0.0.2"),
      meshService("backend-y", backendSpec, { ...remoteLabels, "kuma.io/zone": "zone-c" }, "241.0.0.3"),
      // One more of zone-b, whose instances the count of the port has, too.
      meshService("backend-z", backendSpec, remoteLabels, "241.0.0.4"),
      multiZone,
      naming("i-1", "zone-b", "10.2.0.1", { [remote]: 2, [all]: 2 }),
      naming("i-2", "zone-b", "10.2.0.2", {}),
      naming("i-3", "zone-c", "10.3.0.1", {}),
    ],
  );
  const endpoints = (name: string) => endpointsIn(client("endpoint", name));
  assert.deepEqual(endpoints(remote), ["1 10.2.0.1:10001 2"]);
  assert.deepEqual(endpoints(second), []);
  assert.deepEqual(endpoints(all), ["1 10.2.0.1:10001 2"], "zone-c does not lead there yet");
  set(naming("i-2", "zone-b", "10.2.0.2", { [remote]: 2, [second]: 1, [all]: 2 }));
  set(naming("i-3", "zone-c", "10.3.0.1", { [all]: 5 }));
  assert.deepEqual(endpoints(second), ["1 10.2.0.2:10001 1"]);
  assert.deepEqual(endpoints(all), ["1 10.2.0.1:10001 2", "1 10.2.0.2:10001 2", "1 10.3.0.1:10001 10"]);
  // All instances have gone.
  set(naming("i-1", "zone-b", "10.2.0.1", {}), naming("i-2", "zone-b", "10.2.0.2", {}));
  assert.deepEqual(endpoints(remote), []);
  assert.deepEqual(endpoints(all), ["1 10.3.0.1:10001 5"]);
});

test("what other zones are told of a port are its healthy instances that count, once each", () => {
  const { set, pipeline, graph } = stage(
    [],
    [
      dataplane("b-1", "10.0.0.1", "backend"),
      dataplane("b-2", "10.0.0.2", "backend"),
      meshService("backend", backendSpec),
      meshService("again", backendSpec, { ...own, "kuma.io/display-name": "backend" }, "241.0.0.4"),
      resource("MeshMultiZoneService", "backends", {
        selector: { meshService: { matchLabels: { "kuma.io/display-name": "backend" } } },
        ports: [{ port: 8080, appProtocol: "http" }],
      }),
    ],
  );
  const counts = () => {
    graph.settle();
    const { portsForZones: ports } = pipeline;
    return Object.fromEntries([...ports.keys()].map((key) => [key, ports.get(key)]));
  };
  const all = "default/default_backends___mzsvc_8080";
  assert.deepEqual(counts(), { [`default/${cluster}`]: 2, [all]: 2 });
  set(dataplane("b-2", "10.0.0.2", "other"));
  assert.deepEqual(counts(), { [`default/${cluster}`]: 1, [all]: 1 });
  set(dataplane("b-1", "10.0.0.1", "other"));
  assert.deepEqual(counts(), {});
});
