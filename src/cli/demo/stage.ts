// The demo's mesh on this machine: three control planes, two ingresses, a client and its services, each a process of its own.
//
//   zone-a 127.0.0.1x                     zone-b 127.0.0.2x
//   frontend ─┬─► backend-1               ingress ─┬─► backend-2
//             └────────── mTLS ──────────►         └─► backend-3

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { type Child, startChild } from "#cli/demo/child.ts";
import { request } from "#host/https.ts";
import { KodiakError } from "#lib/failure.ts";

export interface Place {
  readonly zone: string;
  /** `https://…` of its control plane's proxy port. */
  readonly dpUrl: string;
  readonly api: string;
  readonly fingerprint: string;
  readonly dataplaneToken: string;
  readonly zoneToken: string;
}

export interface Stage {
  readonly folder: string;
  readonly globalApi: string;
  readonly zoneA: Place;
  readonly zoneB: Place;
  /** Where the client's proxy listens for calls to `backend`. */
  readonly backendUrl: string;
  start(what: "app" | "proxy" | "ingress", name: string, place: Place): Promise<Child>;
  /** Ends the processes of this name. */
  stop(name: string): Promise<void>;
  /** The folder in which a proxy's Envoy has its admin socket. */
  workDir(name: string): string;
  apply(...resources: readonly object[]): Promise<void>;
  remove(path: string): Promise<void>;
  close(): Promise<void>;
}

const mesh = {
  type: "Mesh",
  name: "default",
  mtls: { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin" }] },
};
export const allowAll = {
  type: "MeshTrafficPermission",
  mesh: "default",
  name: "allow-all",
  spec: { from: [{ targetRef: { kind: "Mesh" }, default: { action: "Allow" } }] },
};

export async function openStage(progress: (what: string) => void): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-demo-"));
  const children = new Map<string, Child>();
  const workDirs = new Map<string, string>();
  const addresses = new Map<string, number>();

  async function run(name: string, args: readonly string[], isReady: RegExp) {
    const child = await startChild({ folder, name, args });
    children.set(name, child);
    return { child, fields: await child.said(isReady) };
  }
  async function close(): Promise<void> {
    // Proxies leave before their control plane goes; global goes last.
    const rank = (name: string): number => (name === "global" ? 2 : name.startsWith("zone-") ? 1 : 0);
    for (const level of [0, 1, 2]) {
      const own = [...children.values()].filter(({ name }) => rank(name) === level);
      await Promise.all(own.map((child) => child.end()));
    }
    await rm(folder, { recursive: true, force: true });
  }

  /** Each zone has a block of loopback addresses, each proxy one of them. */
  function addressIn(zone: string): string {
    const next = (addresses.get(zone) ?? 0) + 1;
    addresses.set(zone, next);
    return `127.0.0.${(zone === "zone-a" ? 10 : 20) + next}`;
  }

  async function startPlace(zone: string, global: { port: number; fingerprint: string }): Promise<Place> {
    const args = [
      ...["run", "zone", "--name", zone, "--data", join(folder, zone), "--address", "127.0.0.1"],
      ...["--global", `grpcs://127.0.0.1:${global.port}`, "--ca-fingerprint", global.fingerprint],
      ...["--dp-port", "0", "--api-port", "0", "--api-https-port", "0"],
    ];
    const { fields } = await run(zone, args, /^zone control plane is ready/);
    const api = `http://127.0.0.1:${fields.apiPort}`;
    return {
      zone,
      api,
      dpUrl: `https://127.0.0.1:${fields.dpPort}`,
      fingerprint: String(fields.fingerprint),
      dataplaneToken: "",
      zoneToken: "",
    };
  }

  try {
    progress("global control plane");
    const { fields } = await run(
      "global",
      [
        ...["run", "global", "--zones", "zone-a,zone-b", "--data", join(folder, "global"), "--address", "127.0.0.1"],
        ...["--kds-port", "0", "--dp-port", "0", "--api-port", "0", "--api-https-port", "0"],
      ],
      /^global control plane is ready/,
    );
    const globalApi = `http://127.0.0.1:${fields.apiPort}`;
    await put(globalApi, mesh, allowAll);
    progress("zone control planes");
    const global = { port: Number(fields.kdsPort), fingerprint: String(fields.fingerprint) };
    const places = await Promise.all(["zone-a", "zone-b"].map((zone) => startPlace(zone, global)));
    const dataplaneToken = await token(globalApi, "dataplane", { mesh: "default", validFor: "24h" });
    const zoneToken = await token(globalApi, "zone", { scope: ["ingress"], validFor: "24h" });
    const [zoneA, zoneB] = places.map((place) => ({ ...place, dataplaneToken, zoneToken }));
    if (!zoneA || !zoneB) throw new Error("two zones were started");
    const outbound = await freePort("127.0.0.1");
    const stage: Stage = {
      folder,
      globalApi,
      zoneA,
      zoneB,
      backendUrl: `http://127.0.0.1:${outbound}`,
      start,
      async stop(name) {
        await children.get(name)?.end();
        await children.get(`${name}-app`)?.end();
      },
      workDir: (name) => workDirs.get(name) ?? "",
      apply: (...resources) => put(globalApi, ...resources),
      remove: async (path) => void (await send("DELETE", `${globalApi}${path}`)),
      close,
    };
    progress("proxies: 2 ingresses, 1 frontend, 3 backends");
    await Promise.all([
      start("ingress", "ingress-a", zoneA),
      start("ingress", "ingress-b", zoneB),
      start("proxy", "frontend", zoneA),
      start("proxy", "backend-1", zoneA),
      start("proxy", "backend-2", zoneB),
      start("proxy", "backend-3", zoneB),
    ]);
    return stage;

    async function start(what: "app" | "proxy" | "ingress", name: string, place: Place): Promise<Child> {
      if (what === "app") {
        const { child } = await run(`${name}-app`, ["demo-app", name], /^the application listens/);
        return child;
      }
      const address = addressIn(place.zone);
      const port = await freePort(address);
      const manifest =
        what === "ingress" ? zoneIngress(name, address, port) : await dataplane(name, address, port, place);
      const file = join(folder, `${name}.yaml`);
      await writeFile(file, stringify(manifest));
      const secret = what === "ingress" ? place.zoneToken : place.dataplaneToken;
      const tokenFile = join(folder, `${name}.token`);
      await writeFile(tokenFile, secret, { mode: 0o600 });
      const work = join(folder, `${name}.work`);
      workDirs.set(name, work);
      const { child } = await run(
        name,
        [
          ...["run", what, "--dataplane", file, "--token-file", tokenFile, "--work-dir", work],
          ...["--control-plane", place.dpUrl, "--ca-fingerprint", place.fingerprint],
          ...["--readiness-port", "0", "--concurrency", "1", "--drain-time", "10s"],
        ],
        /is ready$/,
      );
      return child;
    }

    async function dataplane(name: string, address: string, port: number, place: Place): Promise<object> {
      const service = name.replace(/-\d+$/, "");
      const app = await run(`${name}-app`, ["demo-app", name], /^the application listens/);
      return {
        type: "Dataplane",
        mesh: "default",
        name,
        networking: {
          address,
          inbound: [
            {
              port,
              serviceAddress: "127.0.0.1",
              servicePort: app.fields.port,
              tags: {
                "kuma.io/service": service,
                "kuma.io/protocol": "http",
                "kuma.io/zone": place.zone,
                instance: name,
              },
            },
          ],
          ...(service === "frontend" && {
            outbound: [{ port: outbound, tags: { "kuma.io/service": "backend" } }],
          }),
        },
      };
    }
  } catch (error) {
    await close();
    throw error;
  }
}

const zoneIngress = (name: string, address: string, port: number) => ({
  type: "ZoneIngress",
  name,
  networking: { address, port, advertisedAddress: address, advertisedPort: port },
});

async function put(api: string, ...resources: readonly object[]): Promise<void> {
  await send("POST", `${api}/_apply`, resources);
}

const token = (api: string, kind: string, body: object): Promise<string> => send("POST", `${api}/tokens/${kind}`, body);

async function send(method: string, url: string, body?: object): Promise<string> {
  const answer = await request({
    url,
    method,
    headers: { "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = Buffer.from(answer.body).toString("utf8");
  if (answer.status >= 300) {
    throw new KodiakError({ kind: "unavailable", what: `${method} ${url} answered ${answer.status}: ${text}` });
  }
  return text;
}

/** Free now. Another program could take it before the proxy does; the demo would then say so. */
export async function freePort(host: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((done, failed) => server.once("error", failed).listen(0, host, done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (typeof address !== "object" || !address) throw new Error(`${host} gave no port`);
  return address.port;
}
