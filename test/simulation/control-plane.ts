// A control plane in the simulation: the program as it is, started, killed and stopped as often as one likes, on a disk that
// stays.

import { global } from "#global/global.ts";
import type { World } from "#host/world.ts";
import type { Store } from "#resources/store.ts";
import { zone } from "#zone/zone.ts";
import { credentials } from "./credentials.ts";
import type { Disk } from "./disk.ts";
import type { SimulatedNetwork } from "./network.ts";
import type { Program } from "./program.ts";

export interface ControlPlane {
  /** `global`, or the zone; its host is called the same. */
  readonly name: string;
  readonly disk: Disk;
  /** What users write to; `undefined` while it does not run. */
  readonly store: Store | undefined;
  readonly isRunning: boolean;
  /** When it was started last. */
  readonly startedAt: number;
  start(): void;
  /** As `kill -9` does it. */
  kill(): void;
  /** As SIGTERM does it. */
  stop(): void;
}

export const ports = { dp: 5678, kds: 5685 } as const;

export interface Site {
  readonly network: SimulatedNetwork;
  /** A new program on this host. */
  program(host: string): Program;
  /** A server certificate that names all hosts: answers to bootstraps are checked against it. */
  readonly certificate: { readonly certificate: string; readonly privateKey: string };
}

export function globalControlPlane(site: Site, disk: Disk, zones: readonly string[]): ControlPlane {
  return controlPlane("global", site, disk, (store, world, settings) =>
    global({ ...settings, store, kdsPort: ports.kds, zones }, world),
  );
}

export function zoneControlPlane(site: Site, name: string, disk: Disk): ControlPlane {
  const target = { host: "global", port: ports.kds, trust: { kind: "skip-verify" as const } };
  return controlPlane(name, site, disk, (store, world, settings, program) =>
    zone({ ...settings, name, store, global: target, credentials: credentials(program) }, world),
  );
}

type Settings = ReturnType<typeof settingsOf>;
type Run = (store: Store, world: World, settings: Settings, program: Program) => Promise<{ close(): Promise<void> }>;

const settingsOf = (name: string, { certificate }: Site) => ({
  address: name,
  dpPort: ports.dp,
  apiPort: 0,
  apiHttpsPort: 0,
  certificate,
  version: "simulated",
  shown: {},
  serveApi: () => Promise.resolve({ httpPort: 0, httpsPort: undefined, close: () => Promise.resolve() }),
});

function controlPlane(name: string, site: Site, disk: Disk, run: Run): ControlPlane {
  let program: Program | undefined;
  let startedAt = 0;
  let store: Store | undefined;
  let running: Promise<{ close(): Promise<void> }> | undefined;

  return {
    name,
    disk,
    get store() {
      return program?.isAlive ? store : undefined;
    },
    get isRunning() {
      return program?.isAlive === true;
    },
    get startedAt() {
      return startedAt;
    },
    start() {
      if (program?.isAlive) return;
      const own = site.program(name);
      startedAt = own.clock.now();
      program = own;
      store = disk.open(own);
      const { clock, random, log } = own;
      running = run(store, { clock, random, log, network: site.network.of(own) }, settingsOf(name, site), own);
    },
    kill: () => program?.kill(),
    stop() {
      const stopped = program;
      void running?.then(async ({ close }) => {
        await close();
        stopped?.kill();
      });
    },
  };
}
