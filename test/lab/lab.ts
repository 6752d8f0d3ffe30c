// A small mesh for tests: control planes in this process, each on free ports with a real certificate; Envoys, as always,
// processes of their own. What a lab started, it ends, also when the test fails.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { Redirect } from "#agent/redirect.ts";
import { runProxy } from "#agent/run-proxy.ts";
import { global, type RunningGlobal } from "#global/global.ts";
import { type AuditEntry, noAuditLog } from "#host/audit-log.ts";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import type { World } from "#host/world.ts";
import { loadOrCreateServerCertificate, serverNames } from "#identity/server-certificate.ts";
import { kindNamed } from "#resources/kinds.ts";
import { fromRest } from "#resources/rest.ts";
import type { Store } from "#resources/store.ts";
import { memoryStore } from "#store/memory.ts";
import { type RunningZone, zone } from "#zone/zone.ts";
import { type Line, recordingLog } from "../agent/recording-log.ts";
import { envoy } from "./envoy.ts";
import { getOverSocket } from "./http.ts";

/** Deadlines of waits are three times as long in CI, where the machine does other things too. */
export const patience = process.env.CI ? 3 : 1;

const usualLog = openLog(process.env.LOG_LEVEL ?? "silent");

export interface Lab {
  readonly world: World;
  readonly folder: string;
  /** Runs when the test ends, last added first. */
  atEnd(end: () => Promise<unknown>): void;
}

/** `log`: of its control planes. */
export async function lab(t: Pick<TestContext, "after">, log = usualLog): Promise<Lab> {
  const ends: (() => Promise<unknown>)[] = [];
  const folder = await mkdtemp(join(tmpdir(), "kodiak-test-"));
  ends.push(() => rm(folder, { recursive: true, force: true }));
  t.after(async () => {
    for (const end of ends.reverse()) await end();
  });
  return { world: realWorld({ log }), folder, atEnd: (end) => ends.push(end) };
}

export interface LabZone extends RunningZone {
  readonly name: string;
  readonly store: Store;
  readonly certificate: string;
  readonly api: string;
  readonly tokenFor: (mesh: string) => Promise<string>;
  /** What its audit log would have of refusals. */
  readonly refused: readonly AuditEntry[];
}

export interface LabGlobal extends RunningGlobal {
  readonly store: Store;
  readonly certificate: string;
  readonly api: string;
}

export async function startGlobal(of: Lab): Promise<LabGlobal> {
  const { world, folder } = of;
  const certificate = await loadOrCreateServerCertificate(join(folder, "global"), serverNames([]), world.clock.now());
  const ports = { kdsPort: 0, dpPort: 0, apiPort: 0, apiHttpsPort: 0 };
  const store = memoryStore(world.clock, world.random);
  const settings = {
    store,
    certificate,
    address: "127.0.0.1",
    ...ports,
    unauthenticatedZones: [],
    exportKeysTo: [],
    version: "test",
    shown: {},
  };
  const running = await global(settings, world);
  of.atEnd(() => running.close());
  return { ...running, store, certificate: certificate.certificate, api: `http://127.0.0.1:${running.apiPort}` };
}

export async function startZone(of: Lab, name: string, joined?: LabGlobal): Promise<LabZone> {
  const { world, folder } = of;
  const certificate = await loadOrCreateServerCertificate(join(folder, name), serverNames([]), world.clock.now());
  const store = memoryStore(world.clock, world.random);
  const refused: AuditEntry[] = [];
  const settings = {
    name,
    store,
    certificate,
    audit: { ...noAuditLog, refused: async (entry: AuditEntry) => void refused.push(entry) },
    address: "127.0.0.1",
    dpPort: 0,
    apiPort: 0,
    apiHttpsPort: 0,
    version: "test",
    shown: {},
    ...(joined && {
      joinToken: await post(joined.api, "/tokens/join", { zone: name }),
      global: { host: "127.0.0.1", port: joined.kdsPort, trust: { kind: "ca" as const, ca: joined.certificate } },
    }),
  };
  const running = await zone(settings, world);
  of.atEnd(() => running.close());
  const api = `http://127.0.0.1:${running.apiPort}`;
  return {
    ...running,
    name,
    store,
    refused,
    certificate: certificate.certificate,
    api,
    tokenFor: (mesh) =>
      eventually(`a token of mesh ${mesh}`, 5_000, () =>
        post(joined?.api ?? api, "/tokens/dataplane", { mesh, validFor: "1h" }),
      ),
  };
}

export interface LabProxy {
  /** Resolves with its exit code. */
  leave(): Promise<number>;
  /** A GET of Envoy's admin interface; rejects while Envoy does not answer. */
  admin(path: string): Promise<string>;
  /** Of its Envoy; rejects while there is none. */
  envoyPid(): Promise<number>;
  /** What its agent has said. */
  readonly lines: readonly Line[];
}

/** Resolves at once; the proxy becomes ready when it has its configuration. */
export async function startProxy(
  of: Lab,
  at: LabZone,
  resource: object,
  token: string,
  redirect?: Redirect,
): Promise<LabProxy> {
  const leave = new AbortController();
  const now = new AbortController();
  const said = recordingLog(usualLog);
  const workDir = join(of.folder, `proxy-${Reflect.get(resource, "name")}`);
  const done = runProxy(
    {
      workDir,
      resource: fromRest(kindNamed(Reflect.get(resource, "type")), { ...resource }).resource,
      controlPlane: { url: `https://127.0.0.1:${at.dpPort}`, trust: { kind: "ca", ca: at.certificate }, token },
      envoyPath: await envoy(),
      envoyLogLevel: "warning",
      concurrency: 1,
      // Who leaves waits for two thirds of it while a test holds the link between control planes, however slow the machine is.
      drainTimeMs: 60_000 * patience,
      readinessPort: 0,
      redirect,
      version: "test",
    },
    said,
    { leave: leave.signal, now: now.signal },
  );
  of.atEnd(async () => {
    leave.abort();
    now.abort();
    await done.catch(() => {});
  });
  return {
    leave: () => {
      leave.abort();
      return done;
    },
    admin: (path) => getOverSocket(join(workDir, "kuma-envoy-admin.sock"), path),
    lines: said.lines,
    envoyPid: () => pidOf(`--config-path\0${join(workDir, "bootstrap.yaml")}\0`),
  };
}

/** Of the one process whose command line has these arguments, each ended by a zero byte. */
export async function pidOf(args: string): Promise<number> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.includes(args)) return Number(pid);
  }
  throw new Error(`no process with ${args.split("\0").join(" ")}`);
}

export async function put(api: string, path: string, body: object): Promise<void> {
  const response = await fetch(api + path, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`PUT ${path}: ${response.status} ${await response.text()}`);
}

export async function post(api: string, path: string, body: object): Promise<string> {
  const response = await fetch(api + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${text}`);
  return text;
}

export async function remove(api: string, path: string): Promise<void> {
  const response = await fetch(api + path, { method: "DELETE" });
  if (!response.ok) throw new Error(`DELETE ${path}: ${response.status} ${await response.text()}`);
}

/**
 * Mesh `default` comes with the first start of a control plane, and its policies with it, whatever is written of it later: what cannot
 * connect is tried again behind a test's back.
 */
export const withoutRetries = (api: string): Promise<void> =>
  eventually("the MeshRetry of mesh default", 10_000, () =>
    remove(api, "/meshes/default/meshretries/mesh-retry-all-default"),
  );

/**
 * Tries until the attempt succeeds: for what announces itself to nobody, as an Envoy's listener does not. Each attempt
 * follows the last one's failure, after a short pause, which is a little longer for what takes seconds.
 */
export async function eventually<T>(what: string, deadlineMs: number, attempt: () => Promise<T>): Promise<T> {
  const start = Date.now();
  const end = start + deadlineMs * patience;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end)
        throw new Error(`${what}: not within ${deadlineMs * patience} ms: ${String(error)}`, { cause: error });
    }
    await pause(Math.min(40, Math.max(10, (Date.now() - start) / 50)));
  }
}
