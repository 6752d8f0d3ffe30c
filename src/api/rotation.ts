// A mesh's rotation as the store has it (decision 14), and what admission asks before a backend goes.

import type { Site } from "#api/ownership.ts";
import type { DataplaneInsightJson } from "#gen/kuma/mesh/v1alpha1/dataplane_insight_pb.ts";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { Issue } from "#lib/issue.ts";
import { isOnline, presenceIn } from "#owned/online.ts";
import { type AwayZone, needsOf, type ProxyTrust, proxyTrust } from "#owned/rotation.ts";
import { asMesh } from "#resources/mesh.ts";
import type { Resource } from "#resources/resource.ts";
import type { View } from "#resources/store.ts";
import { authoritiesOf, meshFactsOf } from "#topology/mesh.ts";

export interface Members {
  readonly proxies: readonly ProxyTrust[];
  readonly away: readonly AwayZone[];
  /** Zones that are there, and may go by an older Mesh, or have proxies of which nothing is known yet. */
  readonly late: readonly string[];
}

export function membersOf(view: View, mesh: string, { place, isConnected, isAbreast }: Site): Members {
  const proxies = view.list("Dataplane").flatMap((dataplane) => {
    if (dataplane.mesh !== mesh) return [];
    const insight = view.get({ ...dataplane, kind: "DataplaneInsight" });
    const trust = proxyTrust(
      dataplane as Resource<DataplaneJson>,
      insight as Resource<DataplaneInsightJson> | undefined,
    );
    return trust ? [trust] : [];
  });
  if (place.kind === "zone") return { proxies, away: [], late: [] };
  const away = view.list("Zone").flatMap(({ name }) => {
    const insight = view.get({ kind: "ZoneInsight", mesh: "", name });
    const isThere = isConnected?.(name) ?? isOnline(insight);
    return isThere ? [] : [{ zone: name, since: offlineSince(insight) }];
  });
  const isAway = new Set(away.map(({ zone }) => zone));
  const there = view.list("Zone").flatMap(({ name }) => (isAway.has(name) ? [] : name));
  return { proxies, away, late: isAbreast ? there.filter((zone) => !isAbreast(zone)) : [] };
}

/** An insight is written a little later than it happens. */
function offlineSince(insight: Resource | undefined): string | undefined {
  const presence = presenceIn(insight?.spec);
  return presence.isOnline ? undefined : presence.since;
}

/** What a Mesh leaves out of its list, and somebody needs. `before`: as it is stored. A mesh that gives up mTLS needs none. */
export function retiredIssues(view: View, before: Resource | undefined, mesh: Resource, site: Site): Issue[] {
  if (!before || !meshFactsOf(asMesh(mesh)).mtls) return [];
  const kept = new Set(authoritiesOf(asMesh(mesh)).map(({ backend }) => backend));
  const gone = authoritiesOf(asMesh(before)).filter(({ backend }) => !kept.has(backend));
  if (gone.length === 0) return [];
  const { proxies, away, late } = membersOf(view, mesh.name, site);
  return gone.flatMap(({ backend }) => {
    const needs = [
      ...needsOf(backend, asMesh(before), proxies, away),
      ...(late.length > 0 ? [`zones have just come, or have not taken the Mesh as it is: ${late.join(", ")}`] : []),
    ];
    if (needs.length === 0) return [];
    const how = `keep it on the list until \`kodiak describe mesh ${mesh.name}\` says that it may go`;
    return [{ path: "mtls.backends", message: `"${backend}" must stay: ${needs.join("; ")}; ${how}` }];
  });
}
