// A control plane in the simulation: the program as it is, started, killed and stopped as often as one likes, on a disk that
// stays, unless that is lost; and what users were told is on it.

import { global } from "#global/global.ts";
import type { World } from "#host/world.ts";
import type { Links } from "#resources/links.ts";
import { describeId, type Resource, type ResourceId } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";
import { zone } from "#zone/zone.ts";
import { credentials } from "./credentials.ts";
import type { Disk, DiskCopy } from "./disk.ts";
import type { SimulatedNetwork } from "./network.ts";
import type { Program } from "./program.ts";

export interface ControlPlane {
  /** `global`, or the zone; its host is called the same. */
  readonly name: string;
  readonly disk: Disk;
  /** What users write to; `undefined` while it does not run. */
  readonly store: Store | undefined;
  /** What operators see and accept; `undefined` while it does not run. */
  readonly links: Links | undefined;
  /** What users wrote here. */
  readonly written: Map<string, Written>;
  readonly isRunning: boolean;
  /** When it was started last. */
  readonly startedAt: number;
  start(): void;
  /** As `kill -9` does it. */
  kill(): void;
  /** As SIGTERM does it. */
  stop(): void;
  /** Of its store and of what users were told is in it. A store that is lost is among them: it may be found again. */
  readonly copies: readonly Copy[];
  copy(): void;
  /** Killed, if it runs; what was written since the copy is gone. */
  restore(copy: Copy): void;
  /** Killed, if it runs; its next start is like a first one. */
  lose(): void;
  /** Whether its store was lost or replaced by a copy, ever. */
  readonly hasLost: boolean;
  /** The operator accepts all that is held here. */
  accept(): void;
  /** What was accepted, ever, in words. */
  readonly accepted: ReadonlySet<string>;
}

/** What was acknowledged, and what was not and may be there. */
export interface Written {
  readonly id: ResourceId;
  acknowledged: Resource | undefined;
  unknown: (Resource | undefined)[];
}

export interface Copy {
  readonly disk: DiskCopy;
  readonly written: ReadonlyMap<string, Written>;
}

export const ports = { dp: 5678, kds: 5685 } as const;

export interface Site {
  readonly network: SimulatedNetwork;
  /** A new program on this host. */
  program(host: string): Program;
  /** A server certificate that names all hosts: answers to bootstraps are checked against it. */
  readonly certificate: { readonly certificate: string; readonly privateKey: string };
  /** Of zones' own authorities. */
  readonly intermediateLastsMs: number;
}

export function globalControlPlane(site: Site, disk: Disk): ControlPlane {
  return controlPlane("global", site, disk, (store, world, settings, program) =>
    global(
      {
        ...{ ...settings, store, kdsPort: ports.kds, unauthenticatedZones: [], exportKeysTo: [] },
        credentials: credentials(program, site.intermediateLastsMs),
      },
      world,
    ),
  );
}

export function zoneControlPlane(site: Site, name: string, disk: Disk): ControlPlane {
  const target = { host: "global", port: ports.kds, trust: { kind: "skip-verify" as const } };
  return controlPlane(name, site, disk, (store, world, settings, program) =>
    zone(
      { ...settings, name, store, global: target, credentials: credentials(program, site.intermediateLastsMs) },
      world,
    ),
  );
}

type Settings = ReturnType<typeof settingsOf>;
type Run = (store: Store, world: World, settings: Settings, program: Program) => Promise<{ close(): Promise<void> }>;

const settingsOf = (name: string, { certificate }: Site, show: (links: Links | undefined) => void) => ({
  address: name,
  dpPort: ports.dp,
  apiPort: 0,
  apiHttpsPort: 0,
  certificate,
  version: "simulated",
  shown: {},
  serveApi: ({ links }: { readonly links?: Links }) => {
    show(links);
    return Promise.resolve({ httpPort: 0, httpsPort: undefined, close: () => Promise.resolve() });
  },
});

function controlPlane(name: string, site: Site, disk: Disk, run: Run): ControlPlane {
  let program: Program | undefined;
  let startedAt = 0;
  let store: Store | undefined;
  let links: Links | undefined;
  const written = new Map<string, Written>();
  const accepted = new Set<string>();
  const copies: Copy[] = [];
  let hasLost = false;
  let running: Promise<{ close(): Promise<void> }> | undefined;

  const copy = (): void => void copies.push({ disk: disk.copy(), written: copyOf(written) });

  return {
    name,
    disk,
    get store() {
      return program?.isAlive ? store : undefined;
    },
    get links() {
      return program?.isAlive ? links : undefined;
    },
    written,
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
      links = undefined;
      const { clock, random, log } = own;
      const settings = settingsOf(name, site, (shown) => {
        if (program === own) links = shown;
      });
      running = run(store, { clock, random, log, network: site.network.of(own) }, settings, own);
    },
    kill: () => program?.kill(),
    stop() {
      const stopped = program;
      void running?.then(async ({ close }) => {
        await close();
        stopped?.kill();
      });
    },
    copies,
    copy,
    get hasLost() {
      return hasLost;
    },
    restore(copy) {
      program?.kill();
      hasLost = true;
      disk.restore(copy.disk);
      written.clear();
      for (const [place, one] of copyOf(copy.written)) written.set(place, one);
    },
    lose() {
      program?.kill();
      hasLost = true;
      copy();
      disk.lose();
      written.clear();
    },
    accepted,
    accept() {
      if (!program?.isAlive || !links) return;
      for (const { peer, held } of links.list()) {
        for (const one of held) accepted.add(describeId(one));
        if (held.length > 0) void links.accept(peer);
      }
    },
  };
}

const copyOf = (written: ReadonlyMap<string, Written>): ReadonlyMap<string, Written> =>
  new Map([...written].map(([place, one]) => [place, { ...one, unknown: [...one.unknown] }]));
