// Two zones under a global control plane, each component a process that can be killed, and links that can be cut:
//
//   global ──┬── link ── zone-a: frontend, backend-1
//            └── link ── zone-b: ingress-b, backend-2, backend-3

import assert from "node:assert/strict";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { freePort } from "#host/free-port.ts";
import { relayTo } from "#host/relay-for-test.ts";
import type { JsonObject } from "#lib/json.ts";
import { get } from "../lab/http.ts";
import { eventually, pidOf } from "../lab/lab.ts";
import { allowAll, mesh, zoneEgress } from "../lab/manifests.ts";
import {
  apply,
  type ControlPlane,
  dataplaneToken,
  type Instance,
  ingressToken,
  joining,
  joinToken,
  killControlPlane,
  type Processes,
  processes,
  type RunningProxy,
  startGlobal,
  startIngress,
  startInstance,
  startProxy,
  startZone,
  tokenOf,
  type Zone,
} from "../processes/processes.ts";

export type Part = "global" | "zone-a" | "zone-b";

export interface Stage {
  readonly of: Processes;
  readonly global: ControlPlane;
  readonly zones: Readonly<Record<"zone-a" | "zone-b", Zone>>;
  /** Where `frontend` calls `backend`. */
  readonly url: string;
  /** By name. */
  readonly proxies: ReadonlyMap<string, RunningProxy>;
  readonly instances: ReadonlyMap<string, Instance>;
  startBackend(zone: "zone-a" | "zone-b", name: string, address: string): Promise<Instance>;
  /** In zone-b; its name is one that is not used, or not any more. */
  startIngress(name: string, host: string): Promise<void>;
  /** In zone-a, likewise. */
  startEgress(name: string, host: string): Promise<void>;
  /** With SIGKILL; resolves with what starts it again and resolves when it is ready. `joins`: a zone that global does not know any more. */
  kill(part: Part): Promise<(joins?: "joins") => Promise<void>>;
  /** Between a zone and global; resolves with what mends it. */
  cut(zone: "zone-a" | "zone-b"): Promise<() => Promise<void>>;
  /** What each proxy that was there first holds, without times: from Envoy's config dump. */
  held(): Promise<ReadonlyMap<string, unknown>>;
  /** Resolves when global says that all proxies that were started first, and all zones, are online. */
  online(): Promise<void>;
}

export async function openStage(t: TestContext, itsMesh: object = mesh("default")): Promise<Stage> {
  const of = await processes(t);
  const global = await startGlobal(of);
  await apply(global, itsMesh, allowAll("default"));
  const links = new Map<string, { port: number; cut: () => Promise<() => Promise<void>> }>();
  const argsOf = new Map<Part, readonly string[]>([["global", ["global"]]]);
  const startLinked = async (name: "zone-a" | "zone-b") => {
    const kdsPort = Number(global.ready.kdsPort);
    let relay = await relayTo(kdsPort);
    of.atEnd(() => relay.close());
    const { port } = relay;
    links.set(name, {
      port,
      async cut() {
        await relay.close();
        return async () => {
          relay = await relayTo(kdsPort, port);
        };
      },
    });
    const link = await joining({ ...global, ready: { ...global.ready, kdsPort: port } }, name);
    argsOf.set(name, ["zone", "--name", name, ...link]);
    return startZone(of, name, link);
  };
  const [zoneA, zoneB] = await Promise.all([startLinked("zone-a"), startLinked("zone-b")]);
  const zones = { "zone-a": zoneA, "zone-b": zoneB };
  const token = await dataplaneToken(global);
  const out = await freePort();
  const proxies = new Map<string, RunningProxy>();
  const startBackend = async (zone: "zone-a" | "zone-b", name: string, address: string) => {
    const started = await startInstance(of, zones[zone], { name, service: "backend", address }, token);
    proxies.set(name, started);
    return started;
  };
  const tokenOfIngresses = await ingressToken(global);
  const startIngressAt = async (name: string, host: string): Promise<void> => {
    proxies.set(name, await startIngress(of, zoneB, name, host, tokenOfIngresses));
  };
  const startEgress = async (name: string, host: string): Promise<void> => {
    const manifest = zoneEgress(name, host, await freePort(host));
    proxies.set(name, await startProxy(of, zoneA, manifest, await tokenOf(global, "zone", { scope: ["egress"] })));
  };
  const [frontend, backend1, backend2, backend3] = await Promise.all([
    startInstance(
      of,
      zoneA,
      { name: "frontend", service: "frontend", address: "127.0.1.1", outbounds: { [out]: "backend" } },
      token,
    ),
    startBackend("zone-a", "backend-1", "127.0.1.2"),
    startBackend("zone-b", "backend-2", "127.0.2.2"),
    startBackend("zone-b", "backend-3", "127.0.2.3"),
    startIngressAt("ingress-b", "127.0.2.1"),
  ]);
  const url = `http://127.0.0.1:${out}`;
  const instances = new Map([
    ["frontend", frontend],
    ["backend-1", backend1],
    ["backend-2", backend2],
    ["backend-3", backend3],
  ]);
  proxies.set("frontend", frontend);
  const first = [...proxies];
  const running = new Map<Part, ControlPlane>([
    ["global", global],
    ["zone-a", zoneA],
    ["zone-b", zoneB],
  ]);
  await answeredBy(url, ["backend-1", "backend-2", "backend-3"]);
  return {
    ...{ of, global, zones, url, proxies, instances, startBackend, startIngress: startIngressAt, startEgress },
    async kill(part) {
      const again = await killControlPlane(of, running.get(part) ?? assert.fail(part), argsOf.get(part) ?? []);
      return async (joins) => {
        running.set(part, await again(...(joins && part !== "global" ? await joinToken(global, part) : [])));
      };
    },
    cut: (zone) => links.get(zone)?.cut() ?? assert.fail(zone),
    async held() {
      const dumps = first.map(async ([name, { admin }]) => {
        const { configs } = JSON.parse(await admin("/config_dump?include_eds"), (key, value) => {
          if (key === "last_updated") return undefined;
          // Envoy lists what it holds of a type in the order of a hash table, which changes by itself.
          return key.startsWith("dynamic_") && Array.isArray(value) ? value.toSorted(byText) : value;
        });
        return [
          name,
          configs.filter((part: JsonObject) => !String(part["@type"]).endsWith("BootstrapConfigDump")),
        ] as const;
      });
      // Each is waited for, also where one fails: who asks again and again would flood the others.
      await Promise.allSettled(dumps);
      return new Map(await Promise.all(dumps));
    },
    online: () =>
      eventually("all online at global", 30_000, async () => {
        const rows = [
          ...(await of.table("zones", "--api", global.api)),
          ...(await of.table("dataplanes", "--api", global.api)),
        ];
        for (const name of ["zone-a", "zone-b", ...instances.keys()])
          assert.ok(
            rows.some(
              (row) =>
                row.some((cell) => cell === name || cell.startsWith(`${name}-`)) &&
                row.some((cell) => /^online/.test(cell)),
            ),
            `${name}: ${JSON.stringify(rows)}`,
          );
      }),
  };
}

/** Of the Envoy that this proxy runs now. */
export const envoyPidOf = ({ of }: Stage, name: string): Promise<number> =>
  pidOf(`--config-path\0${join(of.folder, `${name}.work`, "bootstrap.yaml")}\0`);

const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

/** Both at once: the agent could still end its Envoy in good order, or start another. */
export async function killProxy(stage: Stage, name: string): Promise<void> {
  const { child } = stage.proxies.get(name) ?? assert.fail(name);
  const envoy = await envoyPidOf(stage, name);
  child.kill("SIGKILL");
  process.kill(envoy, "SIGKILL");
}

/** Resolves when each of these instances, and nobody else, has answered 20 of the last requests between them. */
export async function answeredBy(url: string, names: readonly string[]): Promise<void> {
  await eventually(`answers of ${names.join(", ")} and of nobody else`, 30_000, async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 150; i++) {
      const { status, text } = await get(url);
      assert.equal(status, 200, text);
      seen.add(JSON.parse(text).instance);
    }
    assert.deepEqual([...seen].sort(), [...names].sort());
  });
}
