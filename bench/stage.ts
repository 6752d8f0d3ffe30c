// What the rows are measured on: three control planes, each a process; 100 fake proxies in each zone; real Envoys at the
// ends that are timed: `frontend` in zone-a, an ingress and `backend` in zone-b.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, startChild } from "#cli/demo/child.ts";
import { request } from "#host/https.ts";

const program = fileURLToPath(new URL("../dist/kodiak.js", import.meta.url));
const fakeProgram = fileURLToPath(new URL("fake-proxies.ts", import.meta.url));

export const fakesInZone = 100;
export const newServices = 40;

export interface BenchStage {
  readonly globalApi: string;
  readonly zoneBApi: string;
  readonly backendUrl: string;
  /** Sockets of Envoys' admin interfaces. */
  readonly frontendAdmin: string;
  readonly ingressAdmin: string;
  close(): Promise<void>;
}

export async function openBenchStage(progress: (what: string) => void): Promise<BenchStage> {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-bench-"));
  const children: Child[] = [];
  const run = async (name: string, args: readonly string[], ready: RegExp, entry = program) => {
    const child = await startChild({ folder, name, args, program: entry });
    children.unshift(child);
    return child.said(ready);
  };
  const close = async (): Promise<void> => {
    for (const child of children) await child.end();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const listen = [
      "--address",
      "127.0.0.1",
      "--dp-port",
      "0",
      "--api-port",
      "0",
      "--api-https-port",
      "0",
      "--log-level",
      "info",
    ];
    progress("control planes");
    const global = await run(
      "global",
      ["run", "global", "--zones", "zone-a,zone-b", "--kds-port", "0", "--data", join(folder, "global"), ...listen],
      /^global control plane is ready/,
    );
    const globalApi = `http://127.0.0.1:${global.apiPort}`;
    const backends = [{ name: "ca-1", type: "builtin" }];
    await send("PUT", `${globalApi}/meshes/default`, {
      type: "Mesh",
      name: "default",
      mtls: { enabledBackend: "ca-1", backends },
    });
    const trust = ["--global", `grpcs://127.0.0.1:${global.kdsPort}`, "--ca-fingerprint", String(global.fingerprint)];
    const zones = [];
    for (const zone of ["zone-a", "zone-b"]) {
      const args = ["run", "zone", "--name", zone, "--data", join(folder, zone), ...trust, ...listen];
      zones.push({ zone, ...(await run(zone, args, /^zone control plane is ready/)) });
    }
    const token = await send("POST", `${globalApi}/tokens/dataplane`, { mesh: "default", validFor: "24h" });
    const zoneToken = await send("POST", `${globalApi}/tokens/zone`, { scope: ["ingress"], validFor: "24h" });
    const [a, b] = zones as Record<string, unknown>[];
    if (!a || !b) throw new Error("two zones were started");

    const app = await run("app", ["demo-app", "backend"], /^the application listens/);
    const out = await freePort("127.0.0.1");
    const proxy = async (what: "proxy" | "ingress", at: Record<string, unknown>, manifest: { name: string }) => {
      const file = join(folder, `${manifest.name}.yaml`);
      await writeFile(file, JSON.stringify(manifest));
      const tokenFile = join(folder, `${manifest.name}.token`);
      await writeFile(tokenFile, what === "ingress" ? zoneToken : token, { mode: 0o600 });
      const work = join(folder, `${manifest.name}.work`);
      const to = ["--control-plane", `https://127.0.0.1:${at.dpPort}`, "--ca-fingerprint", String(at.fingerprint)];
      const rest = [
        "--dataplane",
        file,
        "--token-file",
        tokenFile,
        "--work-dir",
        work,
        "--readiness-port",
        "0",
        "--concurrency",
        "1",
      ];
      await run(manifest.name, ["run", what, ...to, ...rest], /is ready$/);
      return join(work, "kuma-envoy-admin.sock");
    };
    progress("real Envoys");
    const address = "127.0.0.31";
    const port = await freePort(address);
    const ingressAdmin = await proxy("ingress", b, {
      type: "ZoneIngress",
      name: "ingress",
      networking: { address, port, advertisedAddress: address, advertisedPort: port },
    } as { name: string });
    const sidecar = async (name: string, host: string, services: readonly string[]) => ({
      type: "Dataplane",
      mesh: "default",
      name,
      networking: {
        address: host,
        inbound: [
          {
            port: await freePort(host),
            serviceAddress: "127.0.0.1",
            servicePort: app.port,
            tags: { "kuma.io/service": name, "kuma.io/protocol": "http" },
          },
        ],
        outbound: await Promise.all(
          services.map(async (service, i) => ({
            port: i === 0 ? out : await freePort("127.0.0.1"),
            tags: { "kuma.io/service": service },
          })),
        ),
      },
    });
    await proxy("proxy", b, await sidecar("backend", "127.0.0.32", []));
    const services = ["backend", ...Array.from({ length: newServices }, (_, i) => `new-${i}`)];
    const frontendAdmin = await proxy("proxy", a, await sidecar("frontend", "127.0.0.33", services));
    progress(`2 × ${fakesInZone} fake proxies`);
    for (const at of [a, b]) {
      const fakes = {
        ...{ zone: at.zone, host: "127.0.0.1", port: at.dpPort, fingerprint: at.fingerprint, token },
        ...{ count: fakesInZone, services: 50, outbounds: 5 },
      };
      await run(`fakes-${at.zone}`, [JSON.stringify(fakes)], /^fake proxies are ready/, fakeProgram);
    }
    return {
      globalApi,
      zoneBApi: `http://127.0.0.1:${b.apiPort}`,
      backendUrl: `http://127.0.0.1:${out}/`,
      frontendAdmin,
      ingressAdmin,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

export async function send(method: string, url: string, body?: object): Promise<string> {
  const headers = { "content-type": "application/json" };
  const answer = await request({ url, method, headers, ...(body && { body: JSON.stringify(body) }) });
  const text = Buffer.from(answer.body).toString();
  if (answer.status >= 300) throw new Error(`${method} ${url}: ${answer.status} ${text}`);
  return text;
}

async function freePort(host: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, host, done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === "object" && address ? address.port : 0;
}
