// A mesh changes its authority behind gates (decision 14): a function of what is stored, for the control plane that the mesh is written on.
//
//   distribute ─► all trust the enabled backend ─► issue ─► all hold a certificate of it ─► retire ─► the others are off the list

import type { DataplaneInsightJson } from "#gen/kuma/mesh/v1alpha1/dataplane_insight_pb.ts";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { SecretJson } from "#gen/kuma/system/v1alpha1/secret_pb.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import type { JsonObject } from "#lib/json.ts";
import { presenceIn } from "#owned/online.ts";
import { displayNameOf, keyOf, label, type Resource, tag } from "#resources/resource.ts";
import { authoritiesOf, issuingBackendOf, pemData } from "#topology/mesh.ts";

/** What a proxy's Envoy has acknowledged, as its insight says. */
export interface ProxyTrust {
  readonly proxy: string;
  readonly zone: string | undefined;
  readonly trusts: readonly string[];
  /** The backend of its certificate. */
  readonly holds: string | undefined;
  readonly isOnline: boolean;
  /** Online or offline; RFC 3339. */
  readonly since: string | undefined;
}

export interface AwayZone {
  readonly zone: string;
  /** RFC 3339; `undefined`: it never came. */
  readonly since: string | undefined;
}

export interface Rotation {
  readonly enabled: string;
  readonly issuing: string;
  /** `retire`: others than the enabled one are listed, and nobody needs them. */
  readonly step: "distribute" | "issue" | "retire" | "none";
  /** Of `distribute`: it does not trust the enabled backend yet; of `issue`: it holds a certificate of another. */
  readonly missing: readonly ProxyTrust[];
  readonly away: readonly AwayZone[];
}

/** `undefined` for a proxy that holds nothing of its mesh's mTLS: it is given all that is needed when it comes. */
export function proxyTrust(
  dataplane: Resource<DataplaneJson>,
  insight: Pick<Resource<DataplaneInsightJson>, "spec"> | undefined,
): ProxyTrust | undefined {
  const mtls = insight?.spec.mTLS;
  if (!mtls) return undefined;
  const [inbound] = dataplane.spec.networking?.inbound ?? [];
  return {
    proxy: displayNameOf(dataplane),
    zone: dataplane.labels[label.zone] ?? inbound?.tags?.[tag.zone],
    trusts: mtls.supportedBackends ?? [],
    holds: mtls.issuedBackend || undefined,
    ...presenceIn(insight.spec as JsonObject),
  };
}

/** `undefined` without mTLS. */
export function rotationOf(
  mesh: Pick<Resource<MeshJson>, "labels" | "spec">,
  proxies: readonly ProxyTrust[],
  away: readonly AwayZone[],
): Rotation | undefined {
  const enabled = mesh.spec.mtls?.enabledBackend;
  const issuing = issuingBackendOf(mesh);
  if (!enabled || issuing === undefined) return undefined;
  if (issuing !== enabled) {
    const missing = proxies.filter(({ trusts }) => !trusts.includes(enabled));
    return { enabled, issuing, step: "distribute", missing, away };
  }
  const missing = proxies.filter(({ holds }) => holds !== undefined && holds !== enabled);
  const hasOthers = (mesh.spec.mtls?.backends ?? []).some(({ name }) => name !== enabled);
  const isDone = missing.length === 0 && (away.length === 0 || !hasOthers);
  return { enabled, issuing, step: isDone ? (hasOthers ? "retire" : "none") : "issue", missing, away };
}

/** Why a backend must stay on the list, as clauses; none: it may go. */
export function needsOf(
  backend: string,
  mesh: Pick<Resource<MeshJson>, "labels" | "spec">,
  proxies: readonly ProxyTrust[],
  away: readonly AwayZone[],
): readonly string[] {
  const holders = proxies.filter(({ holds }) => holds === backend);
  return [
    ...(issuingBackendOf(mesh) === backend ? ["it issues certificates"] : []),
    ...(holders.length > 0 ? [`proxies have certificates of it: ${listed(holders.map(described))}`] : []),
    ...(away.length > 0
      ? [`proxies of zones that are away may have some: ${listed(away.map(({ zone }) => zone))}`]
      : []),
  ];
}

const described = ({ proxy, zone, isOnline }: ProxyTrust): string =>
  `${proxy}${zone === undefined ? "" : ` in ${zone}`}${isOnline ? "" : " (offline)"}`;

const mostNamed = 5;
const listed = (names: readonly string[]): string =>
  names.length <= mostNamed
    ? names.join(", ")
    : `${names.slice(0, mostNamed).join(", ")} and ${names.length - mostNamed} more`;

export interface RotationInput {
  of<Spec>(kind: string): Collection<Resource<Spec>>;
  /** Absent: there is no zone but this. `connected`: by name. */
  readonly connected?: Collection<true>;
}

/** Meshes whose first gate is open, as they are to be from here on. */
export function openGates(graph: Graph, { of, connected }: RotationInput): Collection<Resource<MeshJson>> {
  const insights = of<DataplaneInsightJson>("DataplaneInsight");
  const secrets = of<SecretJson>("Secret");
  const zones = of("Zone");
  const trusts = graph.derive("trust of proxies", of<DataplaneJson>("Dataplane"), (dataplane, read, key) => {
    const trust = proxyTrust(dataplane, read.one(insights, key));
    return trust && { mesh: dataplane.mesh, trust };
  });
  const byMesh = graph.group("trust by mesh", trusts, ({ mesh, trust }) => [[mesh, trust] as const]);
  return graph.derive("open gates", of<MeshJson>("Mesh"), (mesh, read): Resource<MeshJson> | undefined => {
    const { [label.issuingBackend]: before, ...labels } = mesh.labels;
    if (before === undefined) return undefined;
    const away = [...(connected ? read.all(zones).keys() : [])].filter(
      (zone) => connected && !read.one(connected, zone),
    );
    const proxies = [...(read.one(byMesh, mesh.name)?.values() ?? [])];
    const rotation = rotationOf(
      mesh,
      proxies,
      away.map((zone) => ({ zone, since: undefined })),
    );
    const isOpen = rotation?.step !== "distribute" || rotation.missing.length + away.length === 0;
    const source = authoritiesOf(mesh).find(({ backend }) => backend === rotation?.enabled)?.certificate;
    const secretData = (name: string) => read.one(secrets, keyOf({ mesh: mesh.name, name }))?.spec.data;
    const isThere = !rotation || pemData(source, secretData) !== undefined;
    return isOpen && isThere ? { ...mesh, labels } : undefined;
  });
}
