// What the demo applies, and what its proxies say of themselves.

const builtin = { name: "ca-1", type: "builtin" };
export const mesh = { type: "Mesh", name: "default", mtls: { enabledBackend: builtin.name, backends: [builtin] } };

const named = (type: string, name: string, spec: object) => ({ type, mesh: "default", name, spec });
const backend = { kind: "MeshService", name: "backend" };

export const allowAll = named("MeshTrafficPermission", "allow-all", {
  from: [{ targetRef: { kind: "Mesh" }, default: { action: "Allow" } }],
});
export const deny = named("MeshTrafficPermission", "deny-backend", {
  targetRef: backend,
  from: [{ targetRef: { kind: "MeshService", name: "frontend" }, default: { action: "Deny" } }],
});
export const timeout = named("MeshTimeout", "fast", {
  to: [{ targetRef: backend, default: { http: { requestTimeout: "50ms" } } }],
});

const subset = (instance: string, weight: number) => ({
  kind: "MeshServiceSubset",
  name: "backend",
  tags: { instance },
  weight,
});
export const route = named("MeshHTTPRoute", "split", {
  to: [
    {
      targetRef: backend,
      rules: [
        {
          matches: [{ path: { type: "PathPrefix", value: "/split" } }],
          default: { backendRefs: [subset("backend-1", 90), subset("backend-2", 10)] },
        },
      ],
    },
  ],
});

export const zoneIngress = (name: string, address: string, port: number) => ({
  type: "ZoneIngress",
  name,
  networking: { address, port, advertisedAddress: address, advertisedPort: port },
});

export interface InstanceAt {
  readonly zone: string;
  readonly address: string;
  readonly port: number;
  readonly appPort: number;
  /** Where the application may call `backend`. */
  readonly outbound?: number;
}

/** An instance `backend-1` is one of the service `backend`. */
export const dataplane = (name: string, { zone, address, port, appPort, outbound }: InstanceAt) => ({
  type: "Dataplane",
  mesh: "default",
  name,
  networking: {
    address,
    inbound: [
      {
        port,
        serviceAddress: "127.0.0.1",
        servicePort: appPort,
        tags: {
          "kuma.io/service": name.replace(/-\d+$/, ""),
          "kuma.io/protocol": "http",
          "kuma.io/zone": zone,
          instance: name,
        },
      },
    ],
    ...(outbound !== undefined && { outbound: [{ port: outbound, tags: { "kuma.io/service": "backend" } }] }),
  },
});
