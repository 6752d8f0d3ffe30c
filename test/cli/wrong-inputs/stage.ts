// What wrong inputs are given to: a global control plane, zone-a that is joined to it, and the program `kodiak`: in a process of its own
// for each row that starts a component, in this one for what only asks; each in a folder of its own with the row's files, so that
// messages name files as the row does.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { kodiak as inThisProcess } from "#cli/cli.fixture.ts";
import type { Log } from "#host/log.ts";
import { fingerprintOf } from "#identity/pem.ts";
import { loadOrCreateServerCertificate } from "#identity/server-certificate.ts";
import { envoy } from "../../lab/envoy.ts";
import { eventually, type Lab, type LabGlobal, type LabZone, lab, put, startGlobal, startZone } from "../../lab/lab.ts";

const program = fileURLToPath(new URL("../../../dist/kodiak.js", import.meta.url));

/** What `kodiak` is given. */
export interface Given {
  /** Separated by spaces. */
  readonly args: string;
  /** By name, in the folder in which it runs; `folder` is there too, an empty folder. */
  readonly files?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** A zone's control planes are named already: its API, and where proxies connect. */
  readonly env?: Readonly<Record<string, string>>;
}

/** One wrong input and all that is said of it. */
export interface Row extends Given {
  /** What is wrong with it, where its arguments do not say it. */
  readonly what?: string;
  /** 1: refused or failed; 2: put wrongly, nothing was tried. */
  readonly code: 1 | 2;
  /** All of standard error but the last line feed; logs are on standard output. */
  readonly err: string;
}

export interface Stage extends Lab {
  readonly global: LabGlobal;
  readonly zone: LabZone;
  /** Where proxies connect. */
  readonly dp: { readonly global: string; readonly zone: string };
  /** Of zone-a's certificate, as it prints it. */
  readonly fingerprint: string;
  /** A port of 127.0.0.1 that another program listens on. */
  readonly takenPort: number;
  /** A server that says "hello" to everybody, over TLS. */
  readonly stranger: string;
  readonly envoyPath: string;
}

/** `log`: of the control planes. */
export async function openStage(t: TestContext, log?: Log): Promise<Stage> {
  const of = await lab(t, log);
  const global = await startGlobal(of);
  const zone = await startZone(of, "zone-a", global);
  await put(global.api, "/meshes/other", { type: "Mesh", name: "other" });
  for (const mesh of ["default", "other"]) await zone.tokenFor(mesh);
  // With its first policies: what is refused, and why, depends on what the zone has heard of.
  await eventually("the meshes in the zone", 10_000, async () => {
    assert.equal(zone.store.list("Mesh").length, 2);
    assert.equal(zone.store.list("MeshTimeout").length, 4);
  });
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  of.atEnd(async () => void taken.close());
  const stranger = await of.world.network.listen({
    host: "127.0.0.1",
    port: 0,
    ...(await loadOrCreateServerCertificate(join(of.folder, "stranger"), ["127.0.0.1"], of.world.clock.now())),
    streams: {},
    http: async () => ({ status: 200, body: "hello" }),
  });
  of.atEnd(() => stranger.close("the test is over"));
  return {
    ...of,
    stranger: `https://127.0.0.1:${stranger.port}`,
    global,
    zone,
    dp: { global: `https://127.0.0.1:${global.dpPort}`, zone: `https://127.0.0.1:${zone.dpPort}` },
    fingerprint: fingerprintOf(zone.certificate),
    takenPort: (taken.address() as AddressInfo).port,
    envoyPath: await envoy(),
  };
}

export interface Ended {
  readonly code: number;
  readonly err: string;
}
export interface Started {
  readonly ended: Promise<Ended>;
  /** Log lines as they come. */
  readonly lines: AsyncIterable<Readonly<Record<string, unknown>>>;
  /** SIGTERM. */
  stop(): void;
}

function folderWith(stage: Stage, { files = {} }: Given): string {
  const cwd = mkdtempSync(join(stage.folder, "row-"));
  mkdirSync(join(cwd, "folder"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
  return cwd;
}

const settingsOf = ({ zone, dp }: Stage, { env = {} }: Given): Readonly<Record<string, string>> => ({
  KODIAK_API: zone.api,
  KODIAK_CONTROL_PLANE: dp.zone,
  KODIAK_READINESS_PORT: "0",
  ...env,
});

export function start(t: TestContext, stage: Stage, given: Given): Started {
  const { args, input = "" } = given;
  const cwd = folderWith(stage, given);
  const child = spawn(process.execPath, [program, ...args.split(" ")], {
    cwd,
    env: {
      PATH: process.env.PATH,
      HOME: cwd,
      // The next process starts a little faster.
      NODE_COMPILE_CACHE: join(stage.folder, "compiled"),
      ENVOY_PATH: stage.envoyPath,
      ...settingsOf(stage, given),
    },
  });
  t.after(() => child.kill("SIGKILL"));
  child.stdin.end(input);
  const ended = Promise.all([child.stderr.toArray(), once(child, "exit")]).then(([err, [code]]) => ({
    code,
    err: Buffer.concat(err).toString(),
  }));
  return { ended, lines: linesOf(child.stdout), stop: () => void child.kill("SIGTERM") };
}

async function* linesOf(out: AsyncIterable<Buffer>) {
  let rest = "";
  for await (const chunk of out) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("{")) yield JSON.parse(line);
  }
}

let before: Promise<unknown> = Promise.resolve();

/** The same in this process, one after the other, as a process has one folder to be in. */
export function kodiakHere(stage: Stage, given: Given): Promise<Ended> {
  const run = async (): Promise<Ended> => {
    const from = process.cwd();
    process.chdir(folderWith(stage, given));
    try {
      const { args, input = "" } = given;
      const { code, err } = await inThisProcess(args.split(" "), { env: settingsOf(stage, given), input });
      return { code, err };
    } finally {
      process.chdir(from);
    }
  };
  const ended = before.then(run);
  before = ended.catch(() => {});
  return ended;
}

/** Runs it to its end. */
export async function kodiak(t: TestContext, stage: Stage, given: Given): Promise<Ended> {
  const { ended, lines } = start(t, stage, given);
  for await (const _ of lines);
  return ended;
}
