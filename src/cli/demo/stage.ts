// The demo's mesh on this machine: three control planes, two ingresses, a client and its services, each a process of its own
// that can be stopped, killed and started again by the command with which it was started.
//
//   zone-a 127.0.0.1x                     zone-b 127.0.0.2x
//   frontend ─┬─► backend-1               ingress ─┬─► backend-2
//             └────────── mTLS ──────────►         └─► backend-3

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { send } from "#cli/demo/api.ts";
import { type Child, startChild } from "#cli/demo/child.ts";
import { allowAll, dataplane, deny, mesh, zoneIngress } from "#cli/demo/manifests.ts";
import { pidsOf } from "#cli/demo/pids.ts";
import { freePort } from "#host/free-port.ts";
import type { JsonObject } from "#lib/json.ts";

export type Zone = "zone-a" | "zone-b";
export type State = "starting" | "up" | "stopping" | "stopped" | "killed";

export interface Part {
  readonly name: string;
  readonly what: "global" | "zone" | "ingress" | "proxy";
  /** Absent: global. */
  readonly zone?: Zone;
  readonly state: State;
  /** What starts it, and what stops it, from another terminal. */
  readonly startCommand: string;
  readonly stopCommand: string;
}

export interface Stage {
  readonly folder: string;
  readonly globalApi: string;
  /** Where the client's proxy listens for calls to `backend`. */
  readonly backendUrl: string;
  /** By name, in the order in which they were started first. */
  readonly parts: ReadonlyMap<string, Part>;
  /** Starts again what has ended; resolves when it is ready. */
  start(name: string): Promise<void>;
  /** Starts one more instance of `backend`. */
  startBackend(name: string, zone: Zone): Promise<void>;
  /** SIGTERM to its proxy, as a service manager would; resolves when it is gone. Its application stays. */
  stop(name: string): Promise<void>;
  /** All processes of these parts, Envoys and applications included. */
  pids(names: readonly string[]): Promise<readonly number[]>;
  /** SIGKILL to all of them at one moment. */
  kill(names: readonly string[], pids: readonly number[]): Promise<void>;
  /** The folder in which a proxy's Envoy has its admin socket. */
  workDir(name: string): string;
  apply(...resources: readonly object[]): Promise<void>;
  remove(path: string): Promise<void>;
  close(): Promise<void>;
}

interface Component extends Part {
  state: State;
  stopCommand: string;
  /** As in a settings file. */
  settings: JsonObject;
  child?: Child;
  app?: { readonly child: Child; readonly port: number };
  /** Of a proxy. */
  readonly at?: { readonly address: string; readonly port: number };
}

/** Any free ones at the first start, and the same ones at the next. */
const anyPorts = { "dp-port": 0, "api-port": 0, "api-https-port": 0, "diagnostics-port": 0 };

/** `program`: absent, the one that runs. */
export async function openStage(progress: (what: string) => void, program?: string): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-demo-"));
  const parts = new Map<string, Component>();
  const hosts = { "zone-a": 10, "zone-b": 20 };
  const file = (name: string): string => join(folder, name);
  const workDir = (name: string): string => file(`${name}.work`);

  function add(part: Pick<Component, "name" | "what" | "zone" | "settings" | "at">): Component {
    const startCommand = `kodiak run ${part.what} --config ${file(`${part.name}.settings.yaml`)}`;
    const added: Component = { ...part, startCommand, stopCommand: "", state: "starting" };
    parts.set(part.name, added);
    return added;
  }
  function partNamed(name: string): Component {
    const part = parts.get(name);
    if (!part) throw new Error(`the demo has no ${name}`);
    return part;
  }

  const startPart = (name: string, args: readonly string[]): Promise<Child> =>
    startChild({ folder, name, args, ...(program !== undefined && { program }) });

  /** One that is up must not lose its place to a second one, which nobody would end. */
  function mustBeDown({ name, state }: Part): void {
    if (state !== "stopped" && state !== "killed") throw new Error(`${name} is ${state} already`);
  }

  async function run(part: Component): Promise<JsonObject> {
    part.state = "starting";
    await writeFile(file(`${part.name}.settings.yaml`), stringify(part.settings));
    const child = await startPart(part.name, part.startCommand.split(" ").slice(1));
    part.child = child;
    part.stopCommand = `kill ${child.pid}`;
    try {
      const fields = await child.said(/is ready$/);
      part.state = "up";
      return fields;
    } catch (error) {
      await child.end();
      part.state = "stopped";
      throw error;
    }
  }

  async function runControlPlane(part: Component): Promise<JsonObject> {
    const ready = await run(part);
    const ports = { "dp-port": ready.dpPort, "api-port": ready.apiPort, "api-https-port": ready.apiHttpsPort };
    part.settings = { ...part.settings, ...ports, ...(ready.kdsPort !== undefined && { "kds-port": ready.kdsPort }) };
    return ready;
  }

  async function runProxy(part: Component): Promise<void> {
    const { name, what, zone = "zone-a", at } = part;
    if (!at) throw new Error(`${name} has no address`);
    part.state = "starting";
    if (what === "ingress") await writeFile(file(`${name}.yaml`), stringify(zoneIngress(name, at.address, at.port)));
    else {
      part.app ??= await startApp(name);
      const calls = name === "frontend" && { outbound };
      const manifest = dataplane(name, { zone, ...at, appPort: part.app.port, ...calls });
      await writeFile(file(`${name}.yaml`), stringify(manifest));
    }
    await run(part);
  }

  async function startApp(name: string): Promise<{ readonly child: Child; readonly port: number }> {
    const child = await startPart(`${name}-app`, ["demo-app", name]);
    const { port } = await child.said(/^the application listens/);
    return { child, port: Number(port) };
  }

  async function close(): Promise<void> {
    // Proxies leave before their control plane goes; global goes last.
    for (const level of [["ingress", "proxy"], ["zone"], ["global"]]) {
      const own = [...parts.values()].filter(({ what }) => level.includes(what));
      await Promise.all(own.flatMap(({ child, app }) => [child?.end(), app?.child.end()]));
    }
    await rm(folder, { recursive: true, force: true });
  }

  const startControlPlane = (name: string, what: "global" | "zone", settings: JsonObject): Promise<JsonObject> =>
    runControlPlane(
      add({
        ...{ name, what, settings: { data: file(name), address: "127.0.0.1", ...anyPorts, ...settings } },
        ...((name === "zone-a" || name === "zone-b") && { zone: name }),
      }),
    );

  let globalApi = "";
  let outbound = 0;
  const zones = new Map<Zone, JsonObject>();

  /** Each zone has a block of loopback addresses, each proxy one of them. */
  async function startProxy(name: string, what: "ingress" | "proxy", zone: Zone): Promise<void> {
    const address = `127.0.0.${++hosts[zone]}`;
    const ready = zones.get(zone);
    const settings = {
      dataplane: file(`${name}.yaml`),
      "token-file": file(`${what}.token`),
      "work-dir": workDir(name),
      "control-plane": `https://127.0.0.1:${ready?.dpPort}`,
      "ca-fingerprint": String(ready?.fingerprint),
      ...{ "readiness-port": 0, concurrency: 1, "drain-time": "10s" },
    };
    await runProxy(add({ name, what, zone, settings, at: { address, port: await freePort(address) } }));
  }

  try {
    progress("global control plane");
    const ready = await startControlPlane("global", "global", { "kds-port": 0 });
    globalApi = `http://127.0.0.1:${ready.apiPort}`;
    await send("POST", `${globalApi}/_apply`, [mesh, allowAll]);
    await writeFile(file("deny.yaml"), stringify(deny));
    const token = async (name: string, kind: string, claims: object): Promise<string> => {
      const path = file(`${name}.token`);
      await writeFile(path, await send("POST", `${globalApi}/tokens/${kind}`, claims), { mode: 0o600 });
      return path;
    };
    progress("zone control planes");
    const link = { global: `grpcs://127.0.0.1:${ready.kdsPort}`, "ca-fingerprint": String(ready.fingerprint) };
    const joining = [
      { name: "zone-a", "join-token-file": await token("zone-a", "join", { zone: "zone-a" }) },
      { name: "zone-b", "join-token-file": await token("zone-b", "join", { zone: "zone-b" }) },
    ] as const;
    await Promise.all(
      joining.map(async (own) => zones.set(own.name, await startControlPlane(own.name, "zone", { ...own, ...link }))),
    );
    await token("proxy", "dataplane", { mesh: "default", validFor: "24h" });
    await token("ingress", "zone", { scope: ["ingress"], validFor: "24h" });
    outbound = await freePort("127.0.0.1");
    progress("proxies: 2 ingresses, 1 frontend, 3 backends");
    await Promise.all([
      startProxy("ingress-a", "ingress", "zone-a"),
      startProxy("ingress-b", "ingress", "zone-b"),
      startProxy("frontend", "proxy", "zone-a"),
      startProxy("backend-1", "proxy", "zone-a"),
      startProxy("backend-2", "proxy", "zone-b"),
      startProxy("backend-3", "proxy", "zone-b"),
    ]);
  } catch (error) {
    await close();
    throw error;
  }

  return {
    ...{ folder, globalApi, parts, workDir, close },
    backendUrl: `http://127.0.0.1:${outbound}`,
    async start(name) {
      const part = partNamed(name);
      mustBeDown(part);
      if (part.at) await runProxy(part);
      else await runControlPlane(part);
    },
    startBackend: (name, zone) => startProxy(name, "proxy", zone),
    async stop(name) {
      const part = partNamed(name);
      part.state = "stopping";
      await part.child?.end();
      part.state = "stopped";
    },
    async pids(names) {
      const found = names.map(partNamed).map(async ({ name, child, app }) => {
        const envoys = await pidsOf(`--config-path\0${join(workDir(name), "bootstrap.yaml")}\0`);
        // Its agent first: one that sees its Envoy end clears up for the next, and cannot finish that.
        return [child?.pid, ...envoys, app?.child.pid].filter((pid) => pid !== undefined);
      });
      return (await Promise.all(found)).flat();
    },
    async kill(names, pids) {
      for (const pid of pids) process.kill(pid, "SIGKILL");
      for (const part of names.map(partNamed)) {
        part.state = "killed";
        await part.child?.end();
        await part.app?.child.end();
        delete part.app;
      }
    },
    apply: async (...resources) => void (await send("POST", `${globalApi}/_apply`, resources)),
    remove: async (path) => void (await send("DELETE", `${globalApi}${path}`)),
  };
}
