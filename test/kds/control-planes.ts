// The KDS ends of control planes in this process: real stores, graphs, TLS ports and connections, without all else.

import type { TestContext } from "node:test";
import type { AuditEntry } from "#host/audit-log.ts";
import { certificateFor } from "#host/certificate-for-test.ts";
import { freePort } from "#host/free-port.ts";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import { refusalRecord } from "#host/refusal-record.ts";
import type { Clock, Target } from "#host/world.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import { type KdsServer, kdsServer } from "#kds/global-server.ts";
import { downwardResources, upwardResources } from "#kds/outgoing.ts";
import { type KdsClient, kdsClient, type Link } from "#kds/zone-client.ts";
import { KodiakError } from "#lib/failure.ts";
import type { JsonObject } from "#lib/json.ts";
import type { ZoneStatus } from "#owned/zone-insight.ts";
import type { Validate } from "#resources/kind.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Labels, Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import type { Commit, Store } from "#resources/store.ts";
import { live, resourceSources } from "#store/live.ts";
import { memoryStore } from "#store/memory.ts";

export const world = realWorld({ log: openLog(process.env.LOG_LEVEL ?? "silent") });
const patienceMs = process.env.CI ? 30_000 : 10_000;

/** Something that changes, and can be waited for. */
export interface Signal {
  fire(): void;
  /** Checks now and whenever something has changed; `describe` says what was waited for in vain. */
  until(holds: () => boolean, describe: () => string): Promise<void>;
}

export function signal(): Signal {
  const checks = new Set<() => void>();
  return {
    fire: () => {
      for (const check of [...checks]) check();
    },
    until: (holds, describe) =>
      new Promise((resolve, reject) => {
        const cancel = world.clock.alarm(world.clock.now() + patienceMs, () => {
          checks.delete(check);
          reject(new Error(`waited in vain: ${describe()}`));
        });
        const check = (): void => {
          if (!holds()) return;
          cancel();
          checks.delete(check);
          resolve();
        };
        checks.add(check);
        check();
      }),
  };
}

export function resource(kind: string, name: string, spec: JsonObject, labels: Labels = {}): Resource {
  const mesh = kindNamed(kind).scope === "Mesh" ? "default" : "";
  return { kind, mesh, name, labels, spec, creationTime: zeroTime, modificationTime: zeroTime };
}

/** What both have: a store whose commits are counted. */
export interface Place {
  readonly store: Store;
  readonly commits: readonly Commit[];
  put(...resources: readonly Resource[]): Promise<number>;
  remove(kind: string, name: string): Promise<number>;
  /** Waits until the named resource is there, as `holds` says. */
  has(kind: string, name: string, holds?: (found: Resource) => boolean): Promise<Resource>;
  hasNot(kind: string, name: string): Promise<void>;
  readonly changed: Signal;
}

function placeOf(t: TestContext, store: Store): Place {
  const commits: Commit[] = [];
  const changed = signal();
  const unwatch = store.watch((commit) => {
    commits.push(commit);
    changed.fire();
  });
  t.after(unwatch);
  const idOf = (kind: string, name: string) => ({
    kind,
    name,
    mesh: kindNamed(kind).scope === "Mesh" ? "default" : "",
  });
  return {
    store,
    commits,
    changed,
    put: (...resources) => store.write(resources.map((one) => ({ kind: "put", resource: one }))),
    remove: (kind, name) => store.write([{ kind: "delete", id: idOf(kind, name) }]),
    async has(kind, name, holds = () => true) {
      const find = () => store.get(idOf(kind, name));
      const isThere = (): boolean => {
        const found = find();
        return found !== undefined && holds(found);
      };
      await changed.until(isThere, () => `${kind} ${name}, there is ${JSON.stringify(find())}`);
      return find()!;
    },
    hasNot: (kind, name) =>
      changed.until(
        () => !store.get(idOf(kind, name)),
        () => `${kind} ${name} should go`,
      ),
  };
}

export interface TestGlobal extends Place {
  readonly server: KdsServer;
  readonly target: Target;
  readonly statuses: ReadonlyMap<string, ZoneStatus>;
  /** What the audit log would have of its zones. */
  readonly refused: readonly AuditEntry[];
  /** How often each kind was encoded for the zones. */
  encoded(kind: string): number;
  /** Ends all streams and the port. */
  stop(): Promise<void>;
}

export interface GlobalOptions {
  /** Who may come, with whatever certificate; absent: everybody. */
  readonly zones?: readonly string[];
  readonly validate?: Validate;
  /** To come back where it was, with the store that it had if no other is given. */
  readonly as?: TestGlobal;
  readonly store?: Store;
  /** Streams that it does not know, as an earlier version. */
  readonly unknown?: readonly string[];
}

const certificate = await certificateFor(["127.0.0.1"]);

export async function startGlobal(t: TestContext, options: GlobalOptions = {}): Promise<TestGlobal> {
  const store = options.store ?? options.as?.store ?? memoryStore(world.clock, world.random);
  const place = placeOf(t, store);
  const graph = incrementalGraph();
  const sources = resourceSources(graph, store);
  const statuses = new Map<string, ZoneStatus>();
  const refused: AuditEntry[] = [];
  const server = kdsServer({
    ...world,
    outgoing: downwardResources(graph, sources.of),
    store,
    self: { instanceId: "global-1", version: "test" },
    members: {
      check(zone) {
        if (options.zones?.includes(zone) === false)
          throw new KodiakError({ kind: "forbidden", why: `zone "${zone}" may not come` });
      },
      certify: () => Promise.reject(new Error("gives no certificates")),
      intermediate: () => Promise.reject(new Error("gives no certificates")),
    },
    refusals: refusalRecord({ refused: async (entry) => void refused.push(entry) }, world.clock),
    exportsKeysTo: () => true,
    validate: options.validate ?? (() => []),
    onStatus: (status) => {
      statuses.set(status.zone, status);
      place.changed.fire();
    },
  });
  const running = live(graph, store, sources);
  running.start(server.publish);
  const { unary } = server;
  const streams = Object.fromEntries(
    Object.entries(server.streams).filter(([path]) => !options.unknown?.includes(path)),
  );
  const listening = await world.network.listen({
    host: "127.0.0.1",
    port: options.as?.target.port ?? (await freePort()),
    ...certificate,
    streams,
    unary,
  });
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= listening.close("stream unavailable").then(() => {
      server.stop();
      running.stop();
    });
    return stopping;
  };
  t.after(stop);
  return {
    ...place,
    server,
    target: { host: "127.0.0.1", port: listening.port, trust: { kind: "ca", ca: certificate.ca } },
    statuses,
    refused,
    encoded: (kind) => graph.counts.recomputed.get(`kds ${kind}`) ?? 0,
    stop,
  };
}

export interface TestZone extends Place {
  readonly client: KdsClient;
  readonly links: readonly Link[];
  /** Waits for a link that holds. */
  linked(holds: (link: Link) => boolean): Promise<void>;
  stop(): void;
}

export interface ZoneOptions {
  /** To come back with what it had. */
  readonly store?: Store;
  readonly validate?: Validate;
  readonly clock?: Clock;
  /** Absent: its proxies have acknowledged everything. */
  readonly acknowledged?: () => Promise<void>;
}

/** A clock whose alarms ring when the test says so. */
export function ringingClock(): Clock & { ring(withinMs: number): void } {
  const alarms = new Set<{ readonly atMs: number; readonly ring: () => void }>();
  return {
    now: world.clock.now,
    alarm(atMs, ring) {
      const alarm = { atMs, ring };
      alarms.add(alarm);
      return () => alarms.delete(alarm);
    },
    ring(withinMs) {
      const until = world.clock.now() + withinMs;
      for (const alarm of [...alarms].filter(({ atMs }) => atMs <= until)) {
        alarms.delete(alarm);
        alarm.ring();
      }
    },
  };
}

export function startZone(t: TestContext, zone: string, target: Target, options: ZoneOptions = {}): TestZone {
  const store = options.store ?? memoryStore(world.clock, world.random);
  const place = placeOf(t, store);
  const graph = incrementalGraph();
  const sources = resourceSources(graph, store);
  const links: Link[] = [];
  const client = kdsClient({
    ...world,
    clock: options.clock ?? world.clock,
    zone,
    target,
    outgoing: upwardResources(graph, sources.of, zone),
    store,
    self: { instanceId: `${zone}-1`, version: "test", config: { store: { type: "memory" } } },
    validate: options.validate ?? (() => []),
    acknowledged: options.acknowledged ?? (() => Promise.resolve()),
    onLink: (link) => {
      links.push(link);
      place.changed.fire();
    },
  });
  const running = live(graph, store, sources);
  running.start(client.publish);
  client.start();
  const stop = (): void => {
    client.stop();
    running.stop();
  };
  t.after(stop);
  return {
    ...place,
    client,
    links,
    linked: (holds) =>
      place.changed.until(
        () => holds(client.link()),
        () => `link is ${JSON.stringify(client.link())}`,
      ),
    stop,
  };
}
