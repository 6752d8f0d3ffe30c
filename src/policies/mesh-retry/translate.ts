// MeshRetry: which part of it counts depends on what the destination speaks. Without a policy nothing is tried again.

import { checkRetries } from "#policies/mesh-retry/check.ts";
import { grpcRetryPolicy, httpRetryPolicy } from "#policies/mesh-retry/retry-policy.ts";
import { type RetryConf, schema } from "#policies/mesh-retry/schema.ts";
import { definePolicy, type Pieces } from "#policies/policy.ts";
import type { TargetKind } from "#policies/schema.ts";
import { toConf } from "#policies/to.ts";

const system: readonly TargetKind[] = [
  "Mesh",
  "MeshSubset",
  "Dataplane",
  "MeshGateway",
  "MeshService",
  "MeshServiceSubset",
  "MeshHTTPRoute",
];
const namespaced: readonly TargetKind[] = ["Mesh", "Dataplane", "MeshSubset", "MeshService", "MeshServiceSubset"];

export const meshRetry = definePolicy({
  kind: "MeshRetry",
  schema,
  targets: {
    top: { system, namespaced },
    listenerTags: true,
    parts: ["to"],
    needsPart: false,
    to: (top) =>
      top === "MeshGateway" || top === "MeshHTTPRoute"
        ? ["Mesh", "MeshExternalService"]
        : ["Mesh", "MeshService", "MeshExternalService", "MeshMultiZoneService", "MeshHTTPRoute"],
  },
  check: checkRetries,
  translate: {
    outbound: (matches, destination, { protocol, routes }) =>
      retryPieces(toConf<RetryConf>(matches, destination, routes)?.conf ?? {}, protocol),
  },
});

function retryPieces({ http, grpc, tcp }: RetryConf, protocol: string): Pieces {
  switch (protocol) {
    case "http":
    case "http2": {
      const retryPolicy = http && httpRetryPolicy(http);
      return retryPolicy ? { route: { retryPolicy } } : {};
    }
    case "grpc": {
      const retryPolicy = grpc && grpcRetryPolicy(grpc);
      return retryPolicy ? { route: { retryPolicy } } : {};
    }
    default:
      return tcp?.maxConnectAttempt === undefined ? {} : { tcp: { maxConnectAttempts: tcp.maxConnectAttempt } };
  }
}
