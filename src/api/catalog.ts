// The lists of kinds that clients ask for, `/_resources` and `/policies` (interop 9.4): kumactl and the GUI build their
// nouns and pages from them. Members in alphabetical order, like Kuma's.

import { isWritable } from "#api/ownership.ts";
import type { JsonObject } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import { kinds } from "#resources/kinds.ts";
import type { Place } from "#resources/labels.ts";

/** The lists that a policy's spec may have: from, to, rules (interop 1.7); `as`: `from` is read as `rules`. */
const lists: Readonly<Record<string, string>> = {
  MeshAccessLog: "from to rules as",
  MeshCircuitBreaker: "from to rules as",
  MeshFaultInjection: "from to rules",
  MeshHTTPRoute: "to",
  MeshHealthCheck: "to",
  MeshLoadBalancingStrategy: "to",
  MeshRateLimit: "from to rules as",
  MeshRetry: "to",
  MeshTCPRoute: "to",
  MeshTLS: "from rules as",
  MeshTimeout: "from to rules as",
  MeshTrafficPermission: "from rules",
};
const hasList = (kind: Kind, list: string): boolean => (lists[kind.name] ?? "").split(" ").includes(list);

const shown: readonly Kind[] = kinds
  // Role is not Kuma's, and no noun of its clients.
  .filter((kind) => kind.plural !== undefined && kind.name !== "Role")
  .sort((a, b) => (a.name < b.name ? -1 : 1));

export const resourceCatalog = (place: Place): JsonObject => ({
  resources: shown.map((kind) => ({
    includeInFederation: kind.sync.globalToZone && kind.name !== "ServiceInsight",
    name: kind.name,
    path: kind.plural,
    pluralDisplayName: plural(words(kind.name)),
    ...(kind.isPolicy && {
      policy: {
        hasFromTargetRef: hasList(kind, "from"),
        hasRulesTargetRef: hasList(kind, "rules"),
        hasToTargetRef: hasList(kind, "to"),
        isFromAsRules: hasList(kind, "as"),
        isTargetRef: kind.style === "spec",
      },
    }),
    // Kuma says so for every kind of a federated zone, and on global only for what no one writes.
    readOnly: kind.readOnly || (place.kind === "zone" && place.isFederated),
    scope: kind.scope,
    shortName: kind.short,
    singularDisplayName: words(kind.name),
  })),
});

export const policyCatalog = (place: Place): JsonObject => ({
  policies: shown
    .filter((kind) => kind.isPolicy)
    .map((kind) => ({
      name: kind.name,
      readOnly: !isWritable(place, kind),
      path: kind.plural,
      singularDisplayName: words(kind.name),
      pluralDisplayName: plural(words(kind.name)),
      isExperimental: false,
      isTargetRefBased: kind.style === "spec",
      isInbound: hasList(kind, "from"),
      isOutbound: hasList(kind, "to"),
    })),
});

/** `MeshHTTPRoute` is `Mesh HTTP Route`. */
const words = (name: string): string =>
  name
    .replace(/([a-z])([A-Z])|([A-Z])(?=[A-Z][a-z])/g, (_, low?: string, high?: string, last?: string) =>
      low === undefined ? `${last} ` : `${low} ${high}`,
    )
    .replace("Open Telemetry", "OpenTelemetry");

const plural = (noun: string): string =>
  /(s|sh|ch|S)$/.test(noun) ? `${noun}es` : noun.replace(/y$/, "ie").concat("s").replace(/aies$/, "ays");
