// What the rows are measured on: three control planes, each a process with its store on disk; 100 fake proxies in each zone;
// real Envoys at the ends that are timed.
//
//   zone-a                                zone-b
//   frontend ───────── mTLS ─────────► ingress ──► backend
//   100 fake proxies                      100 fake proxies

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "#host/free-port.ts";
import type { JsonObject } from "#lib/json.ts";
import { openCrowd } from "./crowd.ts";
import { type Processes, send } from "./processes.ts";

export const samples = 50;
const fakesInZone = 100;
const fakeServices = 50;
const fakeOutbounds = 5;
export const ingressAddress = "127.0.0.31";
/** Services that zone-a's client knows by name from the start, and that come into being one by one. */
export const newService = (i: number): string => `new-${i}`;

export interface BenchStage {
  readonly globalApi: string;
  readonly zoneBApi: string;
  /** Where zone-a's client calls zone-b's `backend`. */
  readonly backendUrl: string;
  /** The application behind it. */
  readonly applicationUrl: string;
  /** Sockets of the admin interfaces of zone-a's client and zone-b's ingress. */
  readonly clientAdmin: string;
  readonly ingressAdmin: string;
  /** Starts an egress in zone-a; resolves when it is ready. */
  startEgress(): Promise<void>;
  /** Starts a proxy in zone-a that answers DNS; resolves with the port, on 127.0.0.1, when it is ready. */
  startNames(): Promise<number>;
}

export async function openStage(
  started: Processes,
  progress: (what: string) => void,
  fakes = fakesInZone,
): Promise<BenchStage> {
  const { run, folder } = started;
  const anyPort = ["--address", "127.0.0.1", "--dp-port", "0", "--api-port", "0", "--api-https-port", "0"];
  progress("control planes");
  const global = await run(
    "global",
    ["run", "global", "--kds-port", "0", "--data", join(folder, "global"), ...anyPort],
    /^global control plane is ready/,
  );
  const globalApi = `http://127.0.0.1:${global.apiPort}`;
  const mtls = { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin" }] };
  await send("PUT", `${globalApi}/meshes/default`, { type: "Mesh", name: "default", mtls });
  const joins = ["--global", `grpcs://127.0.0.1:${global.kdsPort}`, "--ca-fingerprint", String(global.fingerprint)];
  const startZone = async (zone: string) => {
    const token = await send("POST", `${globalApi}/tokens/join`, { zone });
    return run(
      zone,
      ["run", "zone", "--name", zone, "--data", join(folder, zone), "--join-token", token, ...joins, ...anyPort],
      /^zone control plane is ready/,
    );
  };
  const zoneA = await startZone("zone-a");
  const zoneB = await startZone("zone-b");
  const token = await send("POST", `${globalApi}/tokens/dataplane`, { mesh: "default", validFor: "24h" });
  const zoneToken = await send("POST", `${globalApi}/tokens/zone`, { scope: ["ingress", "egress"], validFor: "24h" });

  /** Resolves, once it is ready, with the socket of its Envoy's admin interface. */
  async function proxy(
    what: "proxy" | "ingress" | "egress",
    zone: JsonObject,
    name: string,
    manifest: object,
    more: readonly string[] = [],
  ): Promise<string> {
    const path = (ending: string) => join(folder, `${name}.${ending}`);
    await writeFile(path("json"), JSON.stringify({ ...manifest, name }));
    await writeFile(path("token"), what === "proxy" ? token : zoneToken, { mode: 0o600 });
    const args = [
      ...["run", what, "--dataplane", path("json"), "--token-file", path("token"), "--work-dir", path("work")],
      ...["--control-plane", `https://127.0.0.1:${zone.dpPort}`, "--ca-fingerprint", String(zone.fingerprint)],
      ...["--readiness-port", "0", "--concurrency", "1", "--drain-time", "1s"],
      ...more,
    ];
    await run(name, args, /is ready$/);
    return join(path("work"), "kuma-envoy-admin.sock");
  }

  async function sidecar(service: string, host: string, outbounds: readonly (readonly [number, string])[]) {
    const app = await run(`${service}-app`, ["demo-app", service], /^the application listens/);
    const tags = { "kuma.io/service": service, "kuma.io/protocol": "http" };
    const inbound = { port: await freePort(host), serviceAddress: "127.0.0.1", servicePort: app.port, tags };
    const outbound = outbounds.map(([port, name]) => ({ port, tags: { "kuma.io/service": name } }));
    return { type: "Dataplane", mesh: "default", networking: { address: host, inbound: [inbound], outbound } };
  }

  progress("an ingress, a client and a service with real Envoys");
  const address = ingressAddress;
  const port = await freePort(address);
  const networking = { address, port, advertisedAddress: address, advertisedPort: port };
  const ingressAdmin = await proxy("ingress", zoneB, "ingress", { type: "ZoneIngress", networking });
  const backend = await sidecar("backend", "127.0.0.32", []);
  await proxy("proxy", zoneB, "backend", backend);
  const outbounds: (readonly [number, string])[] = [];
  for (const service of ["backend", ...Array.from({ length: samples }, (_, i) => newService(i))]) {
    outbounds.push([await freePort("127.0.0.1"), service]);
  }
  const clientAdmin = await proxy("proxy", zoneA, "frontend", await sidecar("frontend", "127.0.0.33", outbounds));

  if (fakes > 0) progress(`${fakes} fake proxies in each zone`);
  const zones = { "zone-a": zoneA, "zone-b": zoneB };
  for (const [zone, at] of fakes > 0 ? Object.entries(zones) : []) {
    const where = { zone, host: "127.0.0.1", port: Number(at.dpPort), fingerprint: String(at.fingerprint), token };
    const crowd = { count: fakes, services: fakeServices, outbounds: fakeOutbounds };
    await (await openCrowd(started, { ...where, ...crowd }, 1)).connect();
  }
  const backendUrl = `http://127.0.0.1:${outbounds[0]?.[0]}/`;
  return {
    ...{ globalApi, zoneBApi: `http://127.0.0.1:${zoneB.apiPort}`, backendUrl, clientAdmin, ingressAdmin },
    applicationUrl: `http://127.0.0.1:${backend.networking.inbound[0]?.servicePort}/`,
    async startEgress() {
      const networking = { address: "127.0.0.34", port: await freePort("127.0.0.34") };
      await proxy("egress", zoneA, "egress", { type: "ZoneEgress", networking });
    },
    async startNames() {
      const host = "127.0.0.35";
      const [outboundPort, dnsPort] = [await freePort(host), await freePort("127.0.0.1")];
      await proxy("proxy", zoneA, "caller", await sidecar("caller", host, []), [
        ...["--transparent-proxy", "--redirect-inbound-port", "0", "--redirect-outbound-port", String(outboundPort)],
        ...["--dns-port", String(dnsPort)],
      ]);
      return dnsPort;
    },
  };
}
