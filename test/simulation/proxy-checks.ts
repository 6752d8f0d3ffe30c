// Whether the proxies of a zone hold what is computed from scratch, by the plain engine, from what is in the zone's store.

import { type EnvoyType, envoyTypes } from "#discovery/order.ts";
import { builtinCertificateId, secretText } from "#identity/secret.ts";
import { plainGraph } from "#incremental/plain.ts";
import { isEqual } from "#lib/json.ts";
import { type CertificateStatus, type ProxyStatus, statusKey } from "#owned/proxy-insight.ts";
import { zoneOwned } from "#owned/zone-owned.ts";
import { type BundledItem, bundlesOf } from "#proxy/bundle.ts";
import { proxyPipeline } from "#proxy/pipeline.ts";
import type { IssuedCertificate } from "#proxy/secrets.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { describeId, keyOf, tag } from "#resources/resource.ts";
import { isSameContent } from "#resources/rest.ts";
import type { Mark } from "#topology/provider.ts";
import { serviceKey } from "#topology/provider.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { SimulatedProxy } from "./proxy.ts";
import { sourcesFrom } from "./sources.ts";

export function proxyMisfits(zone: ControlPlane, proxies: readonly SimulatedProxy[]): readonly string[] {
  const scratch = fromScratch(zone, proxies);
  return proxies.flatMap((proxy) => {
    const found = [...presenceMisfits(zone, proxies, proxy), ...(proxy.isRunning ? scratch.misfits(proxy) : [])];
    return found.map((what) => `${zone.name}: ${proxy.kind} ${keyOf(proxy)} ${what}`);
  });
}

/** What a proxy brought is there as long as it is, and no longer, if the control plane that let it in has seen it go. */
function presenceMisfits(
  zone: ControlPlane,
  proxies: readonly SimulatedProxy[],
  proxy: SimulatedProxy,
): readonly string[] {
  const isStored = zone.disk.get(proxy) !== undefined;
  // Without its mesh it may wait to be let in.
  if (proxy.isRunning) return isStored || !hasMesh(zone, proxy) ? [] : ["runs and is not stored"];
  // When all are gone, it is the control plane that has lost something.
  const mayRemain = zone.startedAt > proxy.heardAt || proxies.every(({ isRunning }) => !isRunning);
  const isWritten = zone.written.has(describeId(proxy));
  return isStored && !mayRemain && !isWritten ? ["is stored and does not run"] : [];
}

const hasMesh = ({ disk }: ControlPlane, { kind, mesh }: SimulatedProxy): boolean =>
  kind === "ZoneIngress" || disk.get({ kind: "Mesh", mesh: "", name: mesh }) !== undefined;

type Issued = IssuedCertificate & { readonly status: CertificateStatus };

function fromScratch(zone: ControlPlane, proxies: readonly SimulatedProxy[]) {
  const graph = plainGraph();
  const of = sourcesFrom(graph, zone.disk.resources());
  const certificates = graph.source<Issued>("certificates");
  const marked = graph.source<Mark>("marked");
  const statuses = graph.source<ProxyStatus>("proxy statuses");
  const pipeline = proxyPipeline(graph, { of, certificates, marked, departed: graph.source("departed") }, zone.name);
  const served = graph.source<readonly string[]>("served by ingresses");
  const { portsForZones: ports, outsideForZones: outside } = pipeline;
  const owned = zoneOwned(graph, { zone: zone.name, of, marked, served, statuses, ports, outside });
  for (const proxy of proxies) {
    const key = keyOf(proxy);
    if (proxy.isRunning) statuses.set(statusKey(proxy), statusOf(proxy));
    // What a user wrote and no proxy has used since is nobody's who is away.
    else if (proxy.kind === "Dataplane" && zone.disk.get({ ...proxy, kind: "DataplaneInsight" }))
      marked.set(key, "doubtful");
    // When it is quiet, every ingress has acknowledged all that it should lead to.
    if (proxy.kind === "ZoneIngress") served.set(key, servicesIn(zone));
    const status = { backend: "ca-1", expiresAt: 0, issuedAt: 0, regenerations: 0 };
    certificates.set(key, { mesh: proxy.mesh, chain: "", privateKey: "", status });
  }
  graph.settle();

  function misfits(proxy: SimulatedProxy): readonly string[] {
    const key = keyOf(proxy);
    const config = (proxy.kind === "Dataplane" ? pipeline.dataplanes : pipeline.ingresses).get(key);
    // Without its mesh it has none, and its Envoy keeps what it has.
    if (!config) return hasMesh(zone, proxy) ? ["should have no configuration"] : [];
    const items = bundlesOf(config).flatMap(({ from, key: bundle }) => from.get(bundle) ?? []);
    return [
      ...itemMisfits(proxy, items),
      ...(proxy.kind === "Dataplane" ? certificateMisfits(proxy, key) : offerMisfits(proxy, key)),
    ];
  }

  function certificateMisfits({ identity }: SimulatedProxy, key: string): readonly string[] {
    const wanted = owned.wantedCertificates.get(key);
    if (!wanted) return [];
    const { mesh, services } = wanted;
    const authority = zone.disk.get(builtinCertificateId(mesh, "ca-1"));
    const should = { authority: authority && secretText(authority), signer: zone.name, mesh, services };
    const { notAfter: _, ...is } = identity ?? {};
    return isEqual(is, should) ? [] : [`has a certificate for ${text(is)}, not ${text(should)}`];
  }

  function offerMisfits(proxy: SimulatedProxy, key: string): readonly string[] {
    const should = owned.ingresses.get(key);
    const is = zone.disk.get(proxy);
    if (!should || !is || isSameContent(should, is)) return [];
    return [`offers ${text(is.spec.availableServices)}, not ${text(should.spec.availableServices)}`];
  }

  return { misfits };
}

function itemMisfits(proxy: SimulatedProxy, items: readonly BundledItem[]): readonly string[] {
  const found: string[] = [];
  const wanted = new Map(items.map(({ type, item }) => [`${type} ${item.name}`, item.version]));
  for (const type of envoyTypes) {
    for (const name of proxy.has[type].keys())
      if (!wanted.has(`${type} ${name}`)) found.push(`has ${type} ${name}, which is no more`);
  }
  for (const { type, item } of items) {
    const has = proxy.has[type].get(item.name);
    if (proxy.refused.has(`${type} ${item.name} ${item.version}`) || !isAsked(proxy, type, item.name)) continue;
    if (has === undefined) found.push(`lacks ${type} ${item.name}`);
    // Certificates are compared by what they say.
    else if (has !== item.version && !item.name.startsWith("identity_cert:"))
      found.push(`has an old ${type} ${item.name}`);
  }
  return found;
}

/** Between zones there is mTLS, or nothing. */
const servicesIn = ({ disk }: ControlPlane): readonly string[] =>
  [...disk.resources()].flatMap((resource) => {
    const mesh = disk.get({ kind: "Mesh", mesh: "", name: resource.mesh });
    if (resource.kind !== "Dataplane" || mesh?.spec.mtls === undefined) return [];
    const { inbound = [] } = asDataplane(resource).spec.networking ?? {};
    return inbound.map(({ tags }) => serviceKey(resource.mesh, tags?.[tag.service] ?? ""));
  });

const isAsked = ({ asked }: SimulatedProxy, type: EnvoyType, name: string): boolean =>
  type === "cluster" || type === "listener" || asked[type].has(name);

const text = (value: unknown): string => JSON.stringify(value) ?? "nothing";

const statusOf = ({ kind, mesh, name }: SimulatedProxy): ProxyStatus => ({
  id: { kind, mesh, name },
  subscription: { id: "", controlPlane: "", connectedAt: 0, disconnectedAt: undefined },
  metadata: {},
  counters: {},
  updatedAt: 0,
  refusals: [],
});
