// After any history, what each proxy gets is what is computed from scratch. Seen to catch: endpoints of one address in the
// order of their arrival; a cluster in the bundles of two services, which left with one of them; a builtin gateway's cluster
// that was also one of calls that are redirected; a read past the graph
// (`remoteFacts.get(key)` for `read.one(remoteFacts, key)`).

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { Collection, Graph, Source } from "#incremental/collection.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import { plainGraph } from "#incremental/plain.ts";
import type { JsonObject } from "#lib/json.ts";
import { type ProxyStatus, statusKey } from "#owned/proxy-insight.ts";
import { zoneOwned } from "#owned/zone-owned.ts";
import { type BundleRef, bundlesOf, type ProxyConfig } from "#proxy/bundle.ts";
import { proxyPipeline } from "#proxy/pipeline.ts";
import type { IssuedCertificate } from "#proxy/secrets.ts";
import { kinds } from "#resources/kinds.ts";
import { keyOf, type Labels, type Resource, type ResourceId } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import type { Ways } from "#topology/egress.ts";
import { type NodeFacts, nodeFactsOf } from "#topology/node.ts";
import { departedFrom, type Mark, serviceKey } from "#topology/provider.ts";
import { serviceOutbound, tableConfig, tableText, type VipEntry } from "#topology/vips.ts";

const histories = process.env.SOAK_RECORD === undefined ? 500 : 10_000;
/** Said on the way, but for the last. */
const progressEvery = 1_000;
const meshes = ["m1", "m2", "m3"] as const;

const mesh = fc.constantFrom(...meshes);
const service = fc.constantFrom("s1", "s2", "s3");
/** `x1` is what proxies never provide. */
const called = fc.constantFrom("s1", "s2", "s3", "x1");
const small = fc.integer({ min: 1, max: 3 });
const protocol = fc.constantFrom("http", "tcp");
const target = fc.oneof(
  fc.constant({ kind: "Mesh" }),
  service.map((name) => ({ kind: "MeshService", name })),
);

interface Change {
  readonly kind: string;
  readonly mesh: string;
  readonly name: string;
  /** `undefined` deletes. */
  readonly spec: JsonObject | undefined;
}
const change = (
  kind: string,
  name: string,
  inMesh: fc.Arbitrary<string>,
  spec: fc.Arbitrary<JsonObject>,
): fc.Arbitrary<Change> =>
  fc.record({
    kind: fc.constant(kind),
    mesh: inMesh,
    name: small.map((n) => `${name}-${n}`),
    spec: fc.option(spec, { nil: undefined, freq: 4 }),
  });

const serviceRef = fc.constantFrom<JsonObject>(
  { kind: "MeshService", name: "ms-1", port: 80 },
  { kind: "MeshService", labels: { "kuma.io/zone": "zone-b" }, port: 81 },
  { kind: "MeshMultiZoneService", name: "mz-1", port: 80 },
);
const meshService = fc
  .record({ service, isByName: fc.boolean(), state: fc.constantFrom("Available", "Unavailable"), protocol })
  .map(
    ({ service: name, isByName, state, protocol: appProtocol }): JsonObject => ({
      state,
      selector: isByName ? { dataplaneRef: { name: "dp-1" } } : { dataplaneTags: { "kuma.io/service": name } },
      ports: [{ port: 80, appProtocol }, { port: 81 }],
      identities: [{ type: "ServiceTag", value: name }],
    }),
  );
const multiZone = fc.constantFrom("zone-b", "zone-c").map(
  (zone): JsonObject => ({
    selector: { meshService: { matchLabels: zone === "zone-b" ? {} : { "kuma.io/zone": zone } } },
    ports: [{ port: 80, appProtocol: "http" }],
  }),
);
/** The first is this zone's. */
const zoneOfService = ["", "zone-b", "zone-c"];

const dataplane = fc
  .record({
    host: small,
    inbound: fc.array(
      fc.record({
        ...{ service, protocol, version: small, state: fc.constantFrom("Ready", "NotReady") },
        isProbed: fc.boolean(),
      }),
      { maxLength: 2 },
    ),
    gateway: fc.constantFrom(undefined, undefined, undefined, "BUILTIN", "BUILTIN", "DELEGATED"),
    outbound: fc.uniqueArray(called, { maxLength: 3 }),
    ref: fc.option(serviceRef, { nil: undefined }),
    redirect: fc.constantFrom<JsonObject | undefined>(
      undefined,
      { redirectPortOutbound: 15001 },
      { redirectPortOutbound: 15001, reachableBackends: { refs: [{ kind: "MeshService", name: "ms-1", port: 80 }] } },
      { redirectPortOutbound: 15001, redirectPortInbound: 15006, reachableServices: ["s1", "s2"] },
    ),
  })
  .map(
    ({ host, inbound, gateway, outbound, ref, redirect }): JsonObject => ({
      networking: {
        ...(redirect && { transparentProxying: redirect }),
        address: `10.0.0.${host}`,
        ...(gateway && { gateway: { type: gateway, tags: { "kuma.io/service": "edge", site: `${host}` } } }),
        inbound: (gateway ? [] : inbound).map((one, i) => ({
          port: 80 + i,
          state: one.state,
          ...(one.isProbed && { serviceProbe: { tcp: {} } }),
          tags: { "kuma.io/service": one.service, "kuma.io/protocol": one.protocol, version: `v${one.version}` },
        })),
        outbound:
          gateway === "BUILTIN"
            ? []
            : [
                ...outbound.map((to, i) => ({ port: 9000 + i, tags: { "kuma.io/service": to } })),
                ...(ref ? [{ port: 9100, backendRef: ref }] : []),
              ],
      },
    }),
  );
const meshGateway = fc
  .record({ site: fc.option(small, { nil: undefined }), part: small, isTerminated: fc.boolean() })
  .map(
    ({ site, part, isTerminated }): JsonObject => ({
      selectors: [{ match: { "kuma.io/service": "edge", ...(site && { site: `${site}` }) } }],
      conf: {
        listeners: [
          { port: 80, protocol: "HTTP", hostname: "*.example", tags: { part: `${part}` } },
          { port: 80, protocol: "HTTP", hostname: "a.example" },
          { port: 81, protocol: "TCP", tags: { part: `${part}` }, resources: { connectionLimit: part } },
          {
            ...{ port: 82, protocol: "TLS", tags: { part: `${part}` } },
            tls: isTerminated ? { mode: "TERMINATE", certificates: [{ secret: "edge" }] } : { mode: "PASSTHROUGH" },
          },
        ],
      },
    }),
  );
/** Of the gateway, or of services. */
const toGateways = fc.record({ n: small, part: fc.option(small, { nil: undefined }) }).map(({ n, part }) => ({
  targetRef: { kind: "MeshGateway", name: `gw-${n}`, ...(part && { tags: { part: `${part}` } }) },
}));
const pem = (what: string, version: number) => `-----BEGIN ${what}-----\n${version}\n-----END ${what}-----\n`;
const edgeSecret = small.map(
  (version): JsonObject => ({
    data: Buffer.from(pem("CERTIFICATE", version) + pem("PRIVATE KEY", version)).toString("base64"),
  }),
);
const ingress = fc
  .record({
    zone: fc.constantFrom("", "zone-b", "zone-c"),
    host: small,
    offers: fc.array(fc.record({ mesh, service: called, protocol, instances: small, isOutside: fc.boolean() }), {
      maxLength: 4,
    }),
  })
  .map(
    ({ zone, host, offers }): JsonObject => ({
      zone,
      networking: {
        address: `10.1.0.${host}`,
        port: 10001,
        advertisedAddress: `10.1.0.${host}`,
        advertisedPort: 10001,
      },
      availableServices: offers.map((offer) => ({
        mesh: offer.mesh,
        instances: offer.instances,
        ...(offer.isOutside && { externalService: true }),
        tags: { "kuma.io/service": offer.service, "kuma.io/protocol": offer.protocol },
      })),
    }),
  );
const egress = fc
  .record({ zone: fc.constantFrom("", "zone-a", "zone-b"), host: small })
  .map(({ zone, host }): JsonObject => ({ zone, networking: { address: `10.2.0.${host}`, port: 10002 } }));
const ways = fc.record({ services: fc.subarray(["m1/s1", "m1/s2"]), ingress: small }).map(
  ({ services, ingress }): JsonObject => ({
    services: ["m1/x1", "m2/s1", "m2/s2", "m2/s3", "m2/x1", "m3/s1", ...services],
    zones: { "zone-b": [`10.1.0.${ingress}:10001`], "zone-c": [`10.1.0.${ingress}:10001`] },
  }),
);
const external = fc
  .record({
    ...{
      service: fc.oneof(called, fc.constant("x1")),
      protocol,
      host: small,
      tls: fc.constantFrom(false, false, true),
    },
    zone: fc.constantFrom(undefined, "zone-a", "zone-a", "zone-b"),
  })
  .map(
    ({ service: name, protocol: speaks, host, zone, tls }): JsonObject => ({
      tags: { "kuma.io/service": name, "kuma.io/protocol": speaks, ...(zone && { "kuma.io/zone": zone }) },
      networking: {
        address: `10.3.0.${host}:443`,
        ...(tls && { tls: { enabled: true, caCert: { secret: "m1.ca-builtin-cert-ca" } } }),
      },
    }),
  );
const meshSpec = fc.constantFrom<JsonObject>(
  {},
  { mtls: { enabledBackend: "ca", backends: [{ name: "ca", type: "builtin" }] } },
  { mtls: { enabledBackend: "ca", backends: [{ name: "ca", type: "builtin" }] }, routing: { zoneEgress: true } },
  { mtls: { enabledBackend: "ca", backends: [{ name: "ca", type: "builtin", mode: "PERMISSIVE" }] } },
);
const timeout = fc.record({ top: target, to: target, ms: small }).map(
  ({ top, to, ms }): JsonObject => ({
    targetRef: top,
    to: [{ targetRef: to, default: { connectionTimeout: `${ms}s`, http: { requestTimeout: `${ms}s` } } }],
  }),
);
const permission = fc
  .record({ top: target, from: target, action: fc.constantFrom("Allow", "Deny", "AllowWithShadowDeny") })
  .map(({ top, from, action }): JsonObject => ({ targetRef: top, from: [{ targetRef: from, default: { action } }] }));
const ofGateway = fc.option(toGateways, { nil: undefined });
const route = fc
  .record({ of: ofGateway, to: service, other: service, version: fc.nat(3), path: fc.constantFrom("/a", "/b") })
  .map(
    ({ of, to, other, version, path }): JsonObject => ({
      ...of,
      to: [
        {
          targetRef: of ? { kind: "Mesh" } : { kind: "MeshService", name: to },
          ...(of && path === "/b" && { hostnames: ["b.example"] }),
          rules: [
            {
              matches: [{ path: { type: "PathPrefix", value: path } }],
              default: {
                backendRefs: [
                  ...(path === "/b" ? [{ kind: "MeshService", labels: { "kuma.io/zone": "zone-b" }, port: 80 }] : []),
                  version === 0
                    ? { kind: "MeshService", name: other }
                    : { kind: "MeshServiceSubset", name: other, tags: { version: `v${version}` }, weight: version },
                ],
              },
            },
          ],
        },
      ],
    }),
  );
/** A table of names; `version`: one of them is of a part of its service. */
const table = fc
  .uniqueArray(fc.record({ service, version: fc.nat(2), port: small }), {
    selector: ({ service: one }) => one,
    maxLength: 3,
  })
  .map((names): JsonObject => {
    const entries = names.map(({ service: one, version, port }, i): [string, VipEntry] => {
      const outbounds = [serviceOutbound(one), ...(version > 0 ? [part(one, version, 80 + port)] : [])];
      return [`0:${one}`, { address: `240.0.0.${i}`, outbounds }];
    });
    return { config: tableText(new Map(entries)) };
  });
const part = (of: string, version: number, port: number) => ({
  ...{ port, origin: "virtual-outbound:v" },
  tags: { "kuma.io/service": of, version: `v${version}` },
});
const strategy = fc
  .record({ top: target, to: target, key: fc.constantFrom("version", "kuma.io/service", "rack"), isNear: fc.boolean() })
  .map(({ top, to, key, isNear }): JsonObject => {
    const failover = [{ to: { type: "Only", zones: ["zone-c"] } }];
    const localityAwareness = isNear ? { localZone: { affinityTags: [{ key }] } } : { crossZone: { failover } };
    return { targetRef: top, to: [{ targetRef: to, default: { localityAwareness } }] };
  });
const tcpRoute = fc.record({ of: ofGateway, to: service, other: service, version: small }).map(
  ({ of, to, other, version }): JsonObject => ({
    ...of,
    to: [
      {
        targetRef: of ? { kind: "Mesh" } : { kind: "MeshService", name: to },
        rules: [
          {
            default: {
              backendRefs: [{ kind: "MeshServiceSubset", name: other, tags: { version: `v${version}` } }],
            },
          },
        ],
      },
    ],
  }),
);
const none = fc.constant("");
const anyChange = fc.oneof(
  { weight: 9, arbitrary: change("Dataplane", "dp", mesh, dataplane) },
  { weight: 3, arbitrary: change("MeshGateway", "gw", mesh, meshGateway) },
  {
    weight: 1,
    arbitrary: change("Secret", "edge", mesh, edgeSecret).map((one) => ({ ...one, name: "edge" })),
  },
  { weight: 3, arbitrary: change("ZoneIngress", "zi", none, ingress) },
  { weight: 4, arbitrary: change("MeshService", "ms", mesh, meshService) },
  { weight: 1, arbitrary: change("MeshMultiZoneService", "mz", mesh, multiZone) },
  { weight: 4, arbitrary: change("ZoneEgress", "ze", none, egress) },
  { weight: 3, arbitrary: change("ExternalService", "es", mesh, external) },
  { weight: 2, arbitrary: change("ways", "ze", none, ways) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("silent"),
      mesh: none,
      name: fc.constantFrom("zone-b", "zone-c"),
      spec: fc.option(fc.constant<JsonObject>({}), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: change("listens", "dp", mesh, fc.constant<JsonObject>({})) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("Mesh"),
      mesh: none,
      name: mesh,
      spec: fc.option(meshSpec, { nil: undefined, freq: 6 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc
      .record({
        kind: fc.constant("Secret"),
        mesh,
        name: none,
        spec: fc.option(fc.constant<JsonObject>({ data: "Y2E=" }), { nil: undefined, freq: 4 }),
      })
      .map((one) => ({ ...one, name: `${one.mesh}.ca-builtin-cert-ca` })),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("Config"),
      mesh: none,
      name: mesh.map(tableConfig),
      spec: fc.option(table, { nil: undefined, freq: 6 }),
    }),
  },
  { weight: 1, arbitrary: change("node", "dp", mesh, fc.constant<JsonObject>({})) },
  { weight: 2, arbitrary: change("MeshTimeout", "mt", mesh, timeout) },
  { weight: 2, arbitrary: change("MeshTrafficPermission", "mtp", mesh, permission) },
  { weight: 2, arbitrary: change("MeshHTTPRoute", "route", mesh, route) },
  { weight: 2, arbitrary: change("MeshTCPRoute", "route", mesh, tcpRoute) },
  { weight: 2, arbitrary: change("MeshLoadBalancingStrategy", "mlbs", mesh, strategy) },
  { weight: 9, arbitrary: change("certificate", "dp", mesh, fc.constant<JsonObject>({})) },
  { weight: 2, arbitrary: change("status", "dp", mesh, fc.constant<JsonObject>({})) },
  { weight: 2, arbitrary: change("mark", "dp", mesh, fc.constant<JsonObject>({})) },
);

function built(graph: Graph) {
  const sources = new Map<string, Source<Resource>>(kinds.map(({ name }) => [name, graph.source<Resource>(name)]));
  const of = (kind: string) => sources.get(kind) as never;
  const certificates = graph.source<IssuedCertificate & { status: never }>("certificates");
  const marked = graph.source<Mark>("marked");
  const departed = graph.source<Resource<DataplaneJson>>("departed");
  const internalListeners = graph.source<true>("internal listeners");
  const egressWays = graph.source<Ways>("ways");
  const nodes = graph.source<NodeFacts>("nodes");
  const silent = graph.source<true>("silent");
  const facts = { of, certificates, marked, departed, internalListeners, egressWays, nodes, silent };
  const pipeline = proxyPipeline(graph, facts, "zone-a");
  const statuses = graph.source<ProxyStatus>("statuses");
  const served = graph.source<readonly string[]>("served");
  const everything = meshes.flatMap((name) => ["s1", "s2", "s3", "x1"].map((one) => serviceKey(name, one)));
  for (const n of [1, 2, 3]) served.set(`zi-${n}`, everything);
  const { portsForZones: ports, outsideForZones: outside } = pipeline;
  const owned = zoneOwned(graph, { zone: "zone-a", of, marked, served, statuses, ports, outside });
  return {
    apply({ kind, mesh: inMesh, name, spec }: Change): void {
      const key = keyOf({ mesh: inMesh, name });
      if (kind === "certificate") {
        certificates.set(key, spec && { mesh: inMesh, chain: "Yw==", privateKey: "aw==", status: undefined as never });
        return;
      }
      if (kind === "mark") {
        marked.set(key, spec && "doubtful");
        return;
      }
      if (kind === "silent") {
        silent.set(name, spec && true);
        return;
      }
      if (kind === "listens") {
        internalListeners.set(key, spec && true);
        return;
      }
      if (kind === "node") {
        nodes.set(key, spec && nodeFactsOf({ "dataplane.dns.port": "15054" }));
        return;
      }
      if (kind === "ways") {
        egressWays.set(key, spec as unknown as Ways | undefined);
        return;
      }
      if (kind === "status") {
        const id = { kind: "Dataplane", mesh: inMesh, name };
        statuses.set(statusKey(id), spec && statusOf(id));
        return;
      }
      const times = { creationTime: zeroTime, modificationTime: zeroTime };
      const before = sources.get(kind)?.get(key);
      const after = spec && { kind, mesh: inMesh, name, spec, ...times, ...placeOf(kind, name) };
      sources.get(kind)?.set(key, after);
      if (kind === "Dataplane" && before) departed.set(`departed ${key}`, departedFrom(before, after));
    },
    settle: () => graph.settle(),
    assertApart: () => {
      assertApart(pipeline.dataplanes);
      assertApart(pipeline.ingresses);
      assertApart(pipeline.egresses);
    },
    state: () => ({
      dataplanes: resolved(pipeline.dataplanes),
      ingresses: resolved(pipeline.ingresses),
      egresses: resolved(pipeline.egresses),
      wanted: entries(owned.wantedCertificates),
      services: entries(owned.ingresses),
    }),
  };
}

function placeOf(kind: string, name: string): Pick<Resource, "labels" | "status"> {
  const [, n = "1"] = name.split("-");
  const zone = kind === "MeshService" ? zoneOfService[Number(n) - 1] : undefined;
  const labels: Labels = zone ? { "kuma.io/origin": "global", "kuma.io/zone": zone } : {};
  const range = { MeshService: 241, MeshMultiZoneService: 243 }[kind];
  return { labels, ...(range !== undefined && { status: { vips: [{ ip: `${range}.0.0.${n}` }] } }) };
}

const statusOf = (id: ResourceId): ProxyStatus => ({
  id,
  subscription: { id: "", controlPlane: "", connectedAt: 0, disconnectedAt: undefined },
  metadata: {},
  counters: {},
  updatedAt: 0,
  refusals: [],
  behind: undefined,
});

const entries = (collection: Collection<unknown>) =>
  [...collection.keys()].sort().map((key) => [key, collection.get(key)] as const);

function bundlesIn(configs: Collection<ProxyConfig>, proxy: string): readonly BundleRef[] {
  const config = configs.get(proxy);
  return config ? bundlesOf(config) : [];
}

/** What leaves a bundle leaves the proxy, so nothing may be in two of its bundles. */
function assertApart(configs: Collection<ProxyConfig>): void {
  for (const proxy of configs.keys()) {
    const names = bundlesIn(configs, proxy).flatMap(({ from, key }) => {
      const own = (from.get(key) ?? []).map(({ type, item }) => `${type} ${item.name}`);
      return [...new Set(own)];
    });
    assert.equal(new Set(names).size, names.length, `${proxy}: ${names.sort().join(", ")}`);
  }
}

/** Names and versions of all that each proxy should have. */
const resolved = (configs: Collection<ProxyConfig>) =>
  [...configs.keys()].sort().map((proxy) => [
    proxy,
    bundlesIn(configs, proxy)
      .flatMap(({ from, key }) => (from.get(key) ?? []).map(({ type, item }) => `${type} ${item.name} ${item.version}`))
      .sort(),
  ]);

test(`incremental equals from scratch for ${histories} histories of what users and zones may do`, () => {
  let configured = 0;
  let throughEgresses = 0;
  let gateways = 0;
  let services = 0;
  let outsideForZones = 0;
  let tried = 0;
  fc.assert(
    fc.property(
      fc.array(fc.array(anyChange, { minLength: 4, maxLength: 8 }), { minLength: 12, maxLength: 15 }),
      (history) => {
        const live = built(incrementalGraph());
        const scratch = built(plainGraph());
        for (const batch of history) {
          for (const one of batch) {
            live.apply(one);
            scratch.apply(one);
          }
          live.settle();
          live.assertApart();
        }
        scratch.settle();
        const state = live.state();
        assert.deepEqual(state, scratch.state());
        configured += state.dataplanes.length;
        if (JSON.stringify(state.dataplanes).includes("kodiak:egress")) throughEgresses++;
        if (JSON.stringify(state.services).includes('"externalService":true')) outsideForZones++;
        if (/"route gw-\d:/.test(JSON.stringify(state.dataplanes))) gateways++;
        if (/endpoint m\d_mz?s-/.test(JSON.stringify(state.dataplanes))) services++;
        if (++tried % progressEvery === 0 && tried < histories)
          process.stderr.write(`${tried} of ${histories} histories tried\n`);
      },
    ),
    { numRuns: histories },
  );
  // The histories are not empty ones: one in thirteen ends with ways through egresses, one in six with a gateway's routes.
  assert.ok(configured > histories, `${configured} proxies in all`);
  assert.ok(throughEgresses > histories / 100, `${throughEgresses} with egresses`);
  assert.ok(outsideForZones > histories / 500, `${outsideForZones} with services outside for other zones`);
  assert.ok(gateways > histories / 100, `${gateways} with gateways`);
  assert.ok(services > histories / 100, `${services} with MeshServices`);
});
