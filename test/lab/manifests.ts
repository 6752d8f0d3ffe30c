// Manifests that many tests need.

import type { JsonObject } from "#lib/json.ts";

/**
 * Without the policies that come with a mesh: a request that fails must not be tried again behind a test's back. But `default` comes
 * with the first start of a control plane, and has had them since: what cannot connect is tried again there until MeshRetry goes.
 */
export const mesh = (name: string) => ({ ...usualMesh(name), skipCreatingInitialPolicies: ["*"] });

/** As users make it. */
export const usualMesh = (name: string) => ({
  type: "Mesh",
  name,
  mtls: { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin" }] },
});

export const allowAll = (inMesh: string) => ({
  type: "MeshTrafficPermission",
  mesh: inMesh,
  name: "allow-all",
  spec: { from: [{ targetRef: { kind: "Mesh" }, default: { action: "Allow" } }] },
});

export interface DataplaneOptions {
  readonly mesh: string;
  readonly name: string;
  readonly service: string;
  readonly address: string;
  readonly port: number;
  readonly appPort: number;
  readonly protocol?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly serviceProbe?: JsonObject;
  /** Local port → service. */
  readonly outbounds?: Readonly<Record<number, string>>;
}

export const dataplane = (options: DataplaneOptions) => ({
  type: "Dataplane",
  mesh: options.mesh,
  name: options.name,
  networking: {
    address: options.address,
    inbound: [
      {
        port: options.port,
        servicePort: options.appPort,
        serviceAddress: "127.0.0.1",
        ...(options.serviceProbe && { serviceProbe: options.serviceProbe }),
        tags: {
          "kuma.io/service": options.service,
          "kuma.io/protocol": options.protocol ?? "http",
          ...options.tags,
        },
      },
    ],
    outbound: Object.entries(options.outbounds ?? {}).map(([port, service]) => ({
      port: Number(port),
      tags: { "kuma.io/service": service },
    })),
  },
});

export const zoneIngress = (name: string, address: string, port: number) => ({
  type: "ZoneIngress",
  name,
  networking: { address, port, advertisedAddress: address, advertisedPort: port },
});

export const zoneEgress = (name: string, address: string, port: number) => ({
  type: "ZoneEgress",
  name,
  networking: { address, port },
});

/** Other zones are reached through the own one's egress. */
export const egressMesh = (name: string) => ({ ...mesh(name), routing: { zoneEgress: true } });
