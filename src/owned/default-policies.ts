// The policies that come with a mesh (interop 11.4), made once by the control plane that owns it: what a user deletes stays
// deleted. Which meshes have had theirs stands in a Config, which no other control plane gets; a mesh that is deleted leaves it.

import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { ConfigJson } from "#gen/kuma/system/v1alpha1/config_pb.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import type { JsonObject } from "#lib/json.ts";
import { kindNamed } from "#resources/kinds.ts";
import { completeLabels, type Place } from "#resources/labels.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

const everyDestination = { kind: "Mesh" };
const sidecars = { kind: "Mesh", proxyTypes: ["Sidecar"] };
const gateways = { kind: "Mesh", proxyTypes: ["Gateway"] };
const attempts = { numRetries: 5, perTryTimeout: "16s", backOff: { baseInterval: "25ms", maxInterval: "250ms" } };
const to = (conf: JsonObject) => ({ to: [{ targetRef: everyDestination, default: conf }] });
const from = (conf: JsonObject) => ({ from: [{ targetRef: everyDestination, default: conf }] });

/** Named `<prefix>-<mesh>`. The server's side allows more than the client's, so that it is the client who gives up. */
const policies: readonly { readonly kind: string; readonly prefix: string; readonly spec: JsonObject }[] = [
  {
    kind: "MeshTimeout",
    prefix: "mesh-timeout-all",
    spec: {
      targetRef: sidecars,
      ...to({
        connectionTimeout: "5s",
        idleTimeout: "1h0m0s",
        http: { requestTimeout: "15s", streamIdleTimeout: "30m0s" },
      }),
      ...from({
        connectionTimeout: "10s",
        idleTimeout: "2h0m0s",
        http: { requestTimeout: "0s", streamIdleTimeout: "1h0m0s", maxStreamDuration: "0s" },
      }),
    },
  },
  {
    kind: "MeshTimeout",
    prefix: "mesh-gateways-timeout-all",
    spec: {
      targetRef: gateways,
      ...to({ idleTimeout: "1h0m0s", http: { streamIdleTimeout: "5s" } }),
      ...from({ idleTimeout: "5m0s", http: { streamIdleTimeout: "5s", requestHeadersTimeout: "500ms" } }),
    },
  },
  {
    kind: "MeshRetry",
    prefix: "mesh-retry-all",
    spec: { targetRef: { kind: "Mesh" }, ...to({ tcp: { maxConnectAttempt: 5 }, http: attempts, grpc: attempts }) },
  },
  {
    kind: "MeshCircuitBreaker",
    prefix: "mesh-circuit-breaker-all",
    // Kuma's has three retries at a time: of more requests that an instance takes along when it ends the rest would fail.
    spec: {
      targetRef: { kind: "Mesh" },
      ...to({
        connectionLimits: { maxConnections: 1024, maxPendingRequests: 1024, maxRetries: 1024, maxRequests: 1024 },
      }),
    },
  },
];

const configName = "kodiak-meshes-with-policies";

export interface DefaultPolicies {
  /** To be put where they are absent, never deleted. */
  readonly wanted: Collection<Resource>;
  /** To be put and deleted, in the same commit. */
  readonly record: Collection<Resource>;
}

export function defaultPolicies(
  graph: Graph,
  of: <Spec>(kind: string) => Collection<Resource<Spec>>,
  place: Place,
): DefaultPolicies {
  const meshes = of<MeshJson>("Mesh");
  const configs = of<ConfigJson>("Config");
  const missing = graph.derive("missing policies", meshes, ({ name: mesh, spec }, read) => {
    if (meshesIn(read.one(configs, configName)).includes(mesh)) return undefined;
    const skipped = spec.skipCreatingInitialPolicies ?? [];
    return policies
      .filter(({ kind }) => !skipped.includes("*") && !skipped.includes(kind))
      .map((policy) => policyOf(policy, mesh, place))
      .filter((policy) => read.one(of(policy.kind), keyOf(policy)) === undefined);
  });
  const byPolicy = graph.group("default policies by key", missing, (all) =>
    all.map((policy) => [`${policy.kind} ${keyOf(policy)}`, policy] as const),
  );
  const names = graph.group("names of meshes", meshes, ({ name }) => [[configName, name] as const]);
  return {
    wanted: graph.derive("default policies", byPolicy, (group) => group.values().next().value),
    record: graph.derive("meshes with policies", names, (group) =>
      resource("Config", "", configName, { config: JSON.stringify([...group.values()].sort()) }),
    ),
  };
}

function policyOf({ kind, prefix, spec }: (typeof policies)[number], mesh: string, place: Place): Resource {
  const policy = resource(kind, mesh, `${prefix}-${mesh}`, spec);
  return { ...policy, labels: completeLabels(place, kindNamed(kind), policy) };
}

const resource = (kind: string, mesh: string, name: string, spec: JsonObject): Resource => ({
  ...{ kind, mesh, name, spec },
  labels: {},
  creationTime: zeroTime,
  modificationTime: zeroTime,
});

function meshesIn(config: Resource<ConfigJson> | undefined): readonly string[] {
  const names: unknown = JSON.parse(config?.spec.config ?? "[]");
  return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
}
