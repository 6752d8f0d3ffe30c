// A small mesh for tests in which every component is a process of its own, started with its `kodiak …` command. Only
// applications and clients are the test's. What a test has started ends by SIGTERM when the test does, and leaves nothing.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { kodiak as inProcess } from "#cli/cli.fixture.ts";
import { type Child, startChild } from "#cli/demo/child.ts";
import { leftovers } from "#cli/demo/leftovers.ts";
import { freePort } from "#host/free-port.ts";
import type { JsonObject } from "#lib/json.ts";
import { envoy } from "../lab/envoy.ts";
import { type App, getOverSocket, startApp } from "../lab/http.ts";
import { eventually, type Lab, lab, patience, post } from "../lab/lab.ts";
import { type DataplaneOptions, dataplane, zoneIngress } from "../lab/manifests.ts";
import type { TlsAddress } from "../lab/openssl.ts";
import { bundled } from "../lab/program.ts";

export interface Ended {
  readonly code: number | string | null | undefined;
  readonly out: string;
  readonly err: string;
}

export interface Processes extends Lab {
  /** `kodiak` as it is now, in one file: what Node runs. */
  readonly program: string;
  /** Runs `kodiak` with these arguments to its end. */
  kodiak(...args: readonly string[]): Promise<Ended>;
  /** The same for what must succeed; resolves with its standard output. */
  done(...args: readonly string[]): Promise<string>;
  /** The rows of the table that `kodiak get` prints with these arguments, each as its cells; asked for again and again, so by no process. */
  table(...args: readonly string[]): Promise<readonly (readonly string[])[]>;
  /** Starts `kodiak` with these arguments; it stays. Its log is in the folder as `<name>.log`. `by`: what runs it. */
  start(name: string, args: readonly string[], by?: readonly string[]): Promise<Child>;
  /** Writes a file of the test's folder; objects become JSON, which is YAML, too. Resolves with its path. */
  file(name: string, content: string | object): Promise<string>;
}

export async function processes(t: Pick<TestContext, "after">): Promise<Processes> {
  const own = await lab(t);
  t.after(async () => assert.deepEqual(await leftovers(own.folder), []));
  const program = await bundled(own.folder);
  process.env.ENVOY_PATH = await envoy();
  const children: Child[] = [];
  const atEnd = new AbortController();
  own.atEnd(async () => {
    atEnd.abort();
    // Proxies leave before their control plane goes.
    const controlPlanes = children.filter(({ name }) => isControlPlane(name));
    await Promise.all(children.filter((child) => !controlPlanes.includes(child)).map((child) => child.end()));
    await Promise.all(controlPlanes.map((child) => child.end()));
  });

  const kodiak = (...args: readonly string[]): Promise<Ended> =>
    new Promise((resolve) => {
      const options = { signal: atEnd.signal, timeout: 60_000 * patience, env: { ...process.env, TMPDIR: own.folder } };
      execFile(process.execPath, [program, ...args], options, (error, out, err) =>
        resolve({ code: error ? error.code : 0, out, err }),
      );
    });
  const done = async (...args: readonly string[]): Promise<string> => {
    const { code, out, err } = await kodiak(...args);
    assert.equal(code, 0, `kodiak ${args.join(" ")}: ${err}`);
    return out;
  };
  const file = async (name: string, content: string | object): Promise<string> => {
    const path = join(own.folder, name);
    await writeFile(path, typeof content === "string" ? content : JSON.stringify(content), { mode: 0o600 });
    return path;
  };
  return {
    ...own,
    program,
    kodiak,
    done,
    async table(...args) {
      const { code, out, err } = await inProcess(["get", ...args]);
      assert.equal(code, 0, `kodiak get ${args.join(" ")}: ${err}`);
      // What is said of them stands below.
      const [table = ""] = out.trimEnd().split("\n\n");
      const [, ...rows] = table.split("\n");
      return rows.map((row) => row.trim().split(/ {2,}/));
    },
    async start(name, args, by = []) {
      const child = await startChild({ folder: own.folder, name, args, program, by });
      children.push(child);
      return child;
    },
    file,
  };
}

const isControlPlane = (name: string): boolean => name === "global" || name.startsWith("zone-");

/** Where clients connect, and the flags with which they check its certificate. */
export interface ControlPlane {
  readonly child: Child;
  /** What it said when it was ready: its ports and the fingerprint of its certificate. */
  readonly ready: JsonObject;
  /** The plain API, for `--api`. */
  readonly api: string;
  readonly trust: readonly string[];
  /** The folder of its certificate and its store. */
  readonly data: string;
}
export interface Zone extends ControlPlane {
  /** For proxies, `--control-plane`. */
  readonly url: string;
}

/** Those that it is started with again after it was killed, and that nobody takes meanwhile. */
const anyPorts = async (): Promise<readonly string[]> => [
  ...["--address", "127.0.0.1", "--dp-port", String(await freePort()), "--api-port", String(await freePort())],
  ...["--api-https-port", "0"],
];

async function startControlPlane(of: Processes, name: string, args: readonly string[]): Promise<ControlPlane> {
  const data = join(of.folder, name);
  const child = await of.start(name, ["run", ...args, "--data", data]);
  const ready = await child.said(/control plane is ready$/);
  const trust = ["--ca-fingerprint", String(ready.fingerprint)];
  return { child, ready, api: `http://127.0.0.1:${ready.apiPort}`, trust, data };
}

/** `more` as for `startZone`. */
export const startGlobal = async (of: Processes, more: readonly string[] = []): Promise<ControlPlane> =>
  startControlPlane(of, "global", [
    ...["global", "--kds-port", String(await freePort())],
    ...[...(await anyPorts()), ...more],
  ]);

/** Kills it as nothing can be killed more, and resolves with what starts it again: same data, same ports. `args` as at its start. */
export async function killControlPlane(of: Processes, { child, ready }: ControlPlane, args: readonly string[]) {
  child.kill("SIGKILL");
  await child.end();
  const ports = [
    ...["--dp-port", String(ready.dpPort), "--api-port", String(ready.apiPort)],
    ...(ready.kdsPort === undefined ? [] : ["--kds-port", String(ready.kdsPort)]),
    ...["--api-https-port", "0"],
  ];
  const [verb = "", ...own] = args;
  const all = [verb, "--address", "127.0.0.1", ...own, ...ports];
  return (...more: readonly string[]) => startControlPlane(of, child.name, [...all, ...more]);
}

/** `more`: flags that are added, or take the place of earlier ones. */
export async function startZone(of: Processes, name: string, more: readonly string[] = []): Promise<Zone> {
  const zone = await startControlPlane(of, name, ["zone", "--name", name, ...(await anyPorts()), ...more]);
  return { ...zone, url: `https://127.0.0.1:${zone.ready.dpPort}` };
}

/** The flags with which a zone finds global. */
export const linked = ({ ready, trust }: Pick<ControlPlane, "ready" | "trust">): readonly string[] => [
  ...["--global", `grpcs://127.0.0.1:${ready.kdsPort}`],
  ...trust,
];

/** The flag with which it joins. */
export const joinToken = async ({ api }: Pick<ControlPlane, "api">, zone: string): Promise<readonly string[]> => [
  ...["--join-token", await post(api, "/tokens/join", { zone })],
];

export const joining = async (
  global: Pick<ControlPlane, "ready" | "trust" | "api">,
  zone: string,
): Promise<readonly string[]> => [...linked(global), ...(await joinToken(global, zone))];

/** Set-up that is not what a test is about goes through the API: a process of the program takes a second to start. */
export const apply = (at: ControlPlane, ...resources: readonly object[]): Promise<string> =>
  post(at.api, "/_apply", resources);

/** By the API, too. The key that signs it is made soon after the mesh. */
export const tokenOf = (at: ControlPlane, kind: "dataplane" | "zone" | "user", claims: object): Promise<string> =>
  eventually(`a ${kind} token`, 10_000, () => post(at.api, `/tokens/${kind}`, { validFor: "1h", ...claims }));
export const dataplaneToken = (at: ControlPlane, mesh = "default"): Promise<string> =>
  tokenOf(at, "dataplane", { mesh });
export const ingressToken = (at: ControlPlane): Promise<string> => tokenOf(at, "zone", { scope: ["ingress"] });

export interface Manifest {
  readonly type: string;
  readonly name: string;
}

export interface RunningProxy {
  readonly child: Child;
  /** A GET of Envoy's admin interface; rejects while Envoy does not answer. */
  admin(path: string): Promise<string>;
}

export interface Instance extends RunningProxy {
  readonly app: App;
  /** Where its inbound listens. */
  readonly at: TlsAddress;
}

const verbOf: Readonly<Record<string, string>> = { ZoneIngress: "ingress", ZoneEgress: "egress" };

export async function proxyArgs(
  of: Processes,
  at: Pick<Zone, "url" | "trust">,
  manifest: Manifest,
  token: string,
): Promise<readonly string[]> {
  const { type, name } = manifest;
  return [
    ...["run", verbOf[type] ?? "proxy", "--dataplane", await of.file(`${name}.yaml`, manifest)],
    ...["--token-file", await of.file(`${name}.token`, token), "--work-dir", join(of.folder, `${name}.work`)],
    ...["--control-plane", at.url, ...at.trust],
    ...["--readiness-port", "0", "--concurrency", "1", "--drain-time", "10s"],
  ];
}

/** Resolves when it is ready. `more` as for `startZone`. */
export async function startProxy(
  of: Processes,
  at: Pick<Zone, "url" | "trust">,
  manifest: Manifest,
  token: string,
  more: readonly string[] = [],
): Promise<RunningProxy> {
  const child = await of.start(manifest.name, [...(await proxyArgs(of, at, manifest, token)), ...more]);
  await child.said(/is ready$/);
  const socket = join(of.folder, `${manifest.name}.work`, "kuma-envoy-admin.sock");
  return { child, admin: (path) => getOverSocket(socket, path) };
}

/** An application and its proxy, in mesh `default` if the options do not say another. */
export async function startInstance(
  of: Processes,
  at: Pick<Zone, "url" | "trust">,
  options: Pick<DataplaneOptions, "name" | "service" | "address"> & Partial<DataplaneOptions>,
  token: string,
): Promise<Instance> {
  const { name, address } = options;
  const app = await startApp(name);
  of.atEnd(() => app.close());
  const port = await freePort(address);
  const manifest = dataplane({ mesh: "default", port, appPort: app.port, ...options });
  return { ...(await startProxy(of, at, manifest, token)), app, at: { host: address, port } };
}

export async function startIngress(of: Processes, at: Zone, name: string, host: string, token: string) {
  const port = await freePort(host);
  return { ...(await startProxy(of, at, zoneIngress(name, host, port), token)), at: { host, port } };
}
