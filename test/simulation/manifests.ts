// What users write in simulations, in the form of the HTTP API.

import type { JsonObject } from "#lib/json.ts";
import { label } from "#resources/resource.ts";

export const meshSpec = (name: string, mode: "STRICT" | "PERMISSIVE" | "off"): JsonObject => ({
  type: "Mesh",
  name,
  ...(mode === "off"
    ? { labels: { [label.allowPlaintext]: "yes" } }
    : { mtls: { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin", mode }] } }),
});

export const permission = (mesh: string, name: string, action: string): JsonObject => ({
  type: "MeshTrafficPermission",
  mesh,
  name,
  spec: { targetRef: { kind: "Mesh" }, from: [{ targetRef: { kind: "Mesh" }, default: { action } }] },
});

export const timeout = (mesh: string, name: string, seconds: number): JsonObject => ({
  type: "MeshTimeout",
  mesh,
  name,
  spec: {
    targetRef: { kind: "Mesh" },
    to: [{ targetRef: { kind: "Mesh" }, default: { http: { requestTimeout: `${seconds}s` } } }],
  },
});

export const route = (mesh: string, name: string, from: string, to: string): JsonObject => ({
  type: "MeshHTTPRoute",
  mesh,
  name,
  spec: {
    targetRef: { kind: "Mesh" },
    to: [
      {
        targetRef: { kind: "MeshService", name: from },
        rules: [
          {
            matches: [{ path: { type: "PathPrefix", value: `/${name}` } }],
            default: { backendRefs: [{ kind: "MeshService", name: to, weight: 1 }] },
          },
        ],
      },
    ],
  },
});
