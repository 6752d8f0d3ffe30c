// One mesh over many zones: so many ingresses and instances of `backend` in each, and one `frontend` in zone-a that calls it.

import assert from "node:assert/strict";
import { freePort } from "#host/free-port.ts";
import { type App, get, startApp } from "../lab/http.ts";
import {
  eventually,
  type Lab,
  type LabGlobal,
  type LabProxy,
  type LabZone,
  post,
  put,
  startGlobal,
  startProxy,
  startZone,
} from "../lab/lab.ts";
import { allowAll, dataplane, mesh, zoneEgress, zoneIngress } from "../lab/manifests.ts";
import { startStockProxy } from "../lab/stock-proxy.ts";

export interface ZoneShape {
  readonly instances: number;
  readonly ingresses: number;
  readonly egresses?: number;
}

export interface ZoneOfMany {
  readonly zone: LabZone;
  /** Named `backend-<zone>-<number>`. */
  readonly backends: (LabProxy & { readonly name: string; readonly app: App })[];
  addBackend(): Promise<void>;
}

export interface ManyZones {
  readonly global: LabGlobal;
  readonly zones: ReadonlyMap<string, ZoneOfMany>;
  readonly frontend: LabProxy;
  readonly url: string;
  readonly egresses: readonly LabProxy[];
  /** Waits until `frontend` knows these numbers of instances behind each zone's endpoints. */
  knows(instances: Readonly<Record<string, number>>, deadlineMs?: number): Promise<void>;
  /** The same for a client as kuma-dp runs it, which is started; resolves with where it calls. */
  stockKnows(instances: Readonly<Record<string, number>>): Promise<string>;
}

/** How many Envoys start at once. */
const batch = 3;

export async function manyZones(
  own: Lab,
  shapes: Readonly<Record<string, ZoneShape>>,
  meshSpec: object = mesh("default"),
): Promise<ManyZones> {
  const global = await startGlobal(own);
  await put(global.api, "/meshes/default", meshSpec);
  await put(global.api, "/meshes/default/meshtrafficpermissions/allow-all", allowAll("default"));
  const token = await eventually("a token", 10_000, () =>
    post(global.api, "/tokens/dataplane", { mesh: "default", validFor: "1h" }),
  );
  const zoneToken = await eventually("a token", 10_000, () =>
    post(global.api, "/tokens/zone", { scope: ["ingress", "egress"], validFor: "1h" }),
  );

  const starting: LabProxy[] = [];
  const start = async (at: LabZone, manifest: object, its: string): Promise<LabProxy> => {
    if (starting.length === batch) await Promise.all(starting.splice(0).map(serves));
    const proxy = await startProxy(own, at, manifest, its);
    starting.push(proxy);
    return proxy;
  };
  const startDataplane = async (at: LabZone, name: string, service: string, address: string, rest: object = {}) => {
    const app = await startApp(name);
    own.atEnd(() => app.close());
    const port = await freePort(address);
    const manifest = dataplane({ mesh: "default", name, service, address, port, appPort: app.port, ...rest });
    return { ...(await start(at, manifest, token)), name, app };
  };

  const zones = new Map<string, ZoneOfMany>();
  const egresses: LabProxy[] = [];
  for (const [i, [name, shape]] of Object.entries(shapes).entries()) {
    const zone = await startZone(own, name, global);
    const addresses = `127.0.${10 + i}`;
    for (let k = 1; k <= shape.ingresses; k++) {
      const address = `${addresses}.${100 + k}`;
      await start(zone, zoneIngress(`ingress-${name}-${k}`, address, await freePort(address)), zoneToken);
    }
    for (let k = 1; k <= (shape.egresses ?? 0); k++) {
      const address = `${addresses}.${200 + k}`;
      egresses.push(await start(zone, zoneEgress(`egress-${name}-${k}`, address, await freePort(address)), zoneToken));
    }
    const backends: ZoneOfMany["backends"] = [];
    const addBackend = async () => {
      const number = backends.length + 1;
      backends.push(await startDataplane(zone, `backend-${name}-${number}`, "backend", `${addresses}.${number}`));
    };
    for (let k = 0; k < shape.instances; k++) await addBackend();
    zones.set(name, { zone, backends, addBackend });
  }
  const first = [...zones.values()][0];
  assert.ok(first);
  const out = await freePort();
  const outbounds = { [out]: "backend" };
  const frontend = await startDataplane(first.zone, "frontend", "frontend", "127.0.9.1", { outbounds });
  const url = `http://127.0.0.1:${out}`;
  await eventually("an answer", 60_000, async () => assert.equal((await get(url)).status, 200));
  const knows = (client: Pick<LabProxy, "admin">, instances: Readonly<Record<string, number>>, deadlineMs: number) =>
    eventually(`weights of ${JSON.stringify(instances)}`, deadlineMs, async () => {
      const weights = await weightsAt(client);
      assert.ok(sameShares(weights, instances), JSON.stringify(weights));
    });
  return {
    global,
    zones,
    egresses,
    frontend,
    url,
    knows: (instances, deadlineMs = 60_000) => knows(frontend, instances, deadlineMs),
    async stockKnows(instances) {
      const [port, address] = [await freePort(), "127.0.9.2"];
      const outbounds = { [port]: "backend" };
      const options = { mesh: "default", name: "stock", service: "stock", address, appPort: 9, outbounds };
      const client = await startStockProxy(
        own,
        first.zone,
        dataplane({ ...options, port: await freePort(address) }),
        token,
      );
      await knows(client, instances, 60_000);
      const url = `http://127.0.0.1:${port}`;
      await eventually("an answer", 10_000, async () => assert.equal((await get(url)).status, 200));
      return url;
    },
  };
}

const serves = (proxy: LabProxy): Promise<void> =>
  eventually("an Envoy that serves", 60_000, async () => assert.equal(await proxy.admin("/ready"), "LIVE\n"));

/** Sums of the weights of healthy endpoints, by zone, as the Envoy has them. */
async function weightsAt(frontend: Pick<LabProxy, "admin">): Promise<Readonly<Record<string, number>>> {
  const dump = JSON.parse(await frontend.admin("/config_dump?include_eds&resource=dynamic_endpoint_configs"));
  const sums: Record<string, number> = {};
  for (const { endpoint_config: config } of dump.configs ?? []) {
    if (config?.cluster_name !== "backend") continue;
    for (const { locality, lb_endpoints: endpoints = [] } of config.endpoints ?? [])
      for (const { health_status: health = "HEALTHY", load_balancing_weight: weight = 1 } of endpoints)
        if (health === "HEALTHY") sums[locality.zone] = (sums[locality.zone] ?? 0) + weight;
  }
  return sums;
}

function sameShares(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean {
  const sum = (of: Readonly<Record<string, number>>) => Object.values(of).reduce((x, y) => x + y, 0);
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  const share = (of: Readonly<Record<string, number>>, key: string): number => (of[key] ?? 0) / sum(of);
  return sum(a) > 0 && [...keys].every((key) => Math.abs(share(a, key) - share(b, key)) < 1e-6);
}

/** Who answered so many requests, a few at a time; each must be a 200. */
export async function answersOf(url: string, requests: number): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  let left = requests;
  const worker = async () => {
    while (left-- > 0) {
      const { status, text } = await get(url);
      assert.equal(status, 200, text);
      const { instance } = JSON.parse(text);
      counts.set(instance, (counts.get(instance) ?? 0) + 1);
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  return counts;
}

/** `backend-zone-a-1` is of `zone-a`. */
export const zoneOf = (instance: string): string => instance.replace(/^backend-/, "").replace(/-\d+$/, "");

export function byZone(counts: ReadonlyMap<string, number>): Readonly<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const [instance, count] of counts) sums[zoneOf(instance)] = (sums[zoneOf(instance)] ?? 0) + count;
  return sums;
}
