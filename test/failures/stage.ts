// Three zones whose hosts have networks of their own, with no route to each other but to the ingresses, and control planes that can be killed:
//
//   zone-a: web (an application with its proxy), a1, a2      zone-b: b1, b2, two ingresses      zone-c: c1, ingress-c
//           and ingress-a, or two egresses
//
// Service `near` is in web's own zone (a1, a2), `one` in one other (b1, b2), `two` in two (c1 as well), `three` in all of them (a1 as well): an
// instance has an inbound for each of its services.

import assert from "node:assert/strict";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { run as execute } from "#agent/process.ts";
import type { Child } from "#cli/demo/child.ts";
import { getOverSocket } from "../lab/http.ts";
import { type Insider, type RemoteLoad, startInsider } from "../lab/insider.ts";
import { eventually, pidOf } from "../lab/lab.ts";
import { allowAll, dataplane, usualMesh, zoneEgress, zoneIngress } from "../lab/manifests.ts";
import { type NetHost, type Network, network } from "../lab/namespaces.ts";
import {
  apply,
  dataplaneToken,
  joining,
  killControlPlane,
  type Manifest,
  processes,
  proxyArgs,
  startGlobal,
  startZone,
  tokenOf,
  type Zone,
} from "../processes/processes.ts";

export interface Variant {
  /** Other zones are reached through the egresses of zone-a. */
  readonly hasEgress: boolean;
  /** Applications know nothing of their proxies, and call by name. */
  readonly isRedirected: boolean;
}

export const services = ["near", "one", "two", "three"] as const;
export type Service = (typeof services)[number];
export type ZoneName = "zone-a" | "zone-b" | "zone-c";

const instances: Readonly<Record<string, { readonly zone: ZoneName; readonly provides: readonly Service[] }>> = {
  a1: { zone: "zone-a", provides: ["near", "three"] },
  a2: { zone: "zone-a", provides: ["near"] },
  b1: { zone: "zone-b", provides: ["one", "two", "three"] },
  b2: { zone: "zone-b", provides: ["one", "two", "three"] },
  c1: { zone: "zone-c", provides: ["two", "three"] },
};

/** What is left of a service without these. */
export const instancesOf = (service: Service, without: readonly string[] = []): readonly string[] =>
  Object.entries(instances)
    .filter(([name, { provides }]) => provides.includes(service) && !without.includes(name))
    .map(([name]) => name);

/** Starts again what was killed, as it was; resolves when it is ready. */
export type Again = () => Promise<unknown>;

export interface Stage {
  readonly net: Network;
  /** Of global. */
  readonly api: string;
  /** Of a proxy. */
  hostOf(name: string): NetHost;
  hostsIn(zone: ZoneName): readonly NetHost[];
  /** A GET of the admin interface of a proxy's Envoy. */
  admin(name: string, path: string): Promise<string>;
  /** Web calls each of these services at this rate, until that is stopped. */
  load(perSecond: number, of?: readonly Service[]): Promise<ReadonlyMap<Service, RemoteLoad>>;
  /** With SIGKILL, its Envoy as well. */
  killProxy(name: string): Promise<Again>;
  killControlPlane(name: "global" | ZoneName): Promise<Again>;
}

const inboundPort = (service: Service): number => 18081 + services.indexOf(service);
const appPort = (service: Service): number => 8081 + services.indexOf(service);
const outboundPort = (service: Service): number => 10001 + services.indexOf(service);

export async function openStage(t: Pick<TestContext, "after">, { hasEgress, isRedirected }: Variant): Promise<Stage> {
  const of = await processes(t);
  const net = await network(t);
  const global = await startGlobal(of);
  await apply(global, { ...usualMesh("default"), routing: { zoneEgress: hasEgress } }, allowAll("default"));
  const controlPlanes = new Map([["global", { running: global, args: ["global"] as readonly string[] }]]);
  const startJoined = async (name: ZoneName): Promise<readonly [ZoneName, Pick<Zone, "url" | "trust">]> => {
    const args = [...(await joining(global, name)), "--address", net.testAddress];
    const running = await startZone(of, name, args);
    controlPlanes.set(name, { running, args: ["zone", "--name", name, ...args] });
    return [name, { url: `https://${net.testAddress}:${running.ready.dpPort}`, trust: running.trust }];
  };
  const names = ["zone-a", "zone-b", "zone-c"] as const;
  const zones = new Map(await Promise.all(names.map(startJoined)));
  const [token, zoneToken] = [
    await dataplaneToken(global),
    await tokenOf(global, "zone", { scope: ["ingress", "egress"] }),
  ];

  const proxies = new Map<string, { readonly host: NetHost; child: Child; again: Again }>();
  const startProxy = async (host: NetHost, manifest: Manifest, itsToken: string, more: readonly string[] = []) => {
    const at = zones.get(host.zone as ZoneName) ?? assert.fail(host.zone);
    const args = [...(await proxyArgs(of, at, manifest, itsToken)), ...more];
    const start = async () => {
      const child = await of.start(manifest.name, args, host.inside());
      proxies.set(manifest.name, { host, child, again: start });
      await child.said(/is ready$/);
    };
    await start();
  };
  /** An application with its proxy. */
  const startApplication = async (name: string, zone: ZoneName, provides: readonly Service[]): Promise<Insider> => {
    const host = await net.host(zone);
    if (isRedirected) {
      const install = [of.program, "install", "transparent-proxy", "--kuma-dp-user", "root", "--redirect-dns"];
      const [command, ...args] = host.inside(process.execPath, ...install);
      const { exit, lines } = await execute(command, args);
      assert.equal(exit.code, 0, lines.join("\n"));
    }
    const app = await startInsider(of, host);
    for (const service of provides) await app.serve(name, appPort(service));
    const one = (service: string, port: number, its: number) =>
      dataplane({ mesh: "default", name, service, address: host.address, port, appPort: its });
    const served = provides.map((service) => one(service, inboundPort(service), appPort(service)));
    const manifest = one(name, 18080, 8080);
    const inbound =
      served.length > 0 ? served.flatMap(({ networking }) => networking.inbound) : manifest.networking.inbound;
    const outbound = services.map((service) => ({
      port: outboundPort(service),
      tags: { "kuma.io/service": service },
    }));
    const networking = { ...manifest.networking, inbound, ...(!isRedirected && { outbound }) };
    const redirect = isRedirected ? ["--transparent-proxy"] : [];
    await startProxy(host, { ...manifest, networking } as Manifest, token, redirect);
    return app;
  };
  const startIngress = async (name: string, zone: ZoneName): Promise<void> => {
    const host = await net.host(zone);
    await net.open(host);
    await startProxy(host, zoneIngress(name, host.address, 10001), zoneToken);
  };
  const startEgress = async (name: string): Promise<void> => {
    const host = await net.host("zone-a");
    await startProxy(host, zoneEgress(name, host.address, 10002), zoneToken);
  };
  const [web] = await Promise.all([
    startApplication("web", "zone-a", []),
    ...Object.entries(instances).map(([name, { zone, provides }]) => startApplication(name, zone, provides)),
    startIngress("ingress-b1", "zone-b"),
    startIngress("ingress-b2", "zone-b"),
    startIngress("ingress-c", "zone-c"),
    ...(hasEgress ? [startEgress("egress-1"), startEgress("egress-2")] : [startIngress("ingress-a", "zone-a")]),
  ]);
  const proxy = (name: string) => proxies.get(name) ?? assert.fail(name);
  const urlOf = (service: Service): string =>
    isRedirected ? `http://${service}.mesh` : `http://127.0.0.1:${outboundPort(service)}`;
  // A name has its address a little later than its proxy is ready.
  for (const service of services)
    await eventually(`an answer of ${service}`, 30_000, async () =>
      assert.equal((await web.get(urlOf(service))).status, 200),
    );
  return {
    ...{ net, api: global.api },
    hostOf: (name) => proxy(name).host,
    hostsIn: (zone) => [...proxies.values()].map(({ host }) => host).filter((host) => host.zone === zone),
    admin: (name, path) => getOverSocket(join(of.folder, `${name}.work`, "kuma-envoy-admin.sock"), path),
    async load(perSecond, of = services) {
      const loads = of.map(async (service) => [service, await web.load(urlOf(service), perSecond)] as const);
      return new Map(await Promise.all(loads));
    },
    async killProxy(name) {
      const { child, again } = proxy(name);
      const envoy = await pidOf(`--config-path\0${join(of.folder, `${name}.work`, "bootstrap.yaml")}\0`);
      // Both at once: the agent could still end its Envoy in good order, or start another.
      child.kill("SIGKILL");
      process.kill(envoy, "SIGKILL");
      await child.ended;
      return again;
    },
    async killControlPlane(name) {
      const { running, args } = controlPlanes.get(name) ?? assert.fail(name);
      const again = await killControlPlane(of, running, args);
      return async () => void controlPlanes.set(name, { running: await again(), args });
    },
  };
}
