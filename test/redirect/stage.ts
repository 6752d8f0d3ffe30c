// Two zones with hosts of their own, which have no route to each other but to the ingress; on each host with an application a proxy to
// which `kodiak install transparent-proxy` redirects it:
//
//   zone-a: web (an application with its proxy), stranger (no proxy)        zone-b: backend, ingress-b
//
// Control planes are the test's own process, and so is an outside world that no mesh knows.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { decode, encode } from "dns-packet";
import { run as execute } from "#agent/process.ts";
import { relayTo } from "#host/relay-for-test.ts";
import { getOverSocket, startApp } from "../lab/http.ts";
import { type Insider, startInsider } from "../lab/insider.ts";
import {
  eventually,
  type LabGlobal,
  type LabZone,
  post,
  put,
  startGlobal,
  startZone,
  withoutRetries,
} from "../lab/lab.ts";
import { allowAll, dataplane, mesh, zoneIngress } from "../lab/manifests.ts";
import { type NetHost, type Network, network } from "../lab/namespaces.ts";
import { type Manifest, type Processes, processes } from "../processes/processes.ts";

export const appPort = 8080;
/** Of the backend, whose application is met at the address of its host, and not at 127.0.0.1. */
const serviceProbe = { interval: "0.5s", timeout: "2s", tcp: {} };
/** Interval × unhealthyThreshold + timeout. */
export const probeMs = 2_500;

export interface Redirected {
  readonly host: NetHost;
  readonly app: Insider;
  /** A GET of Envoy's admin interface. */
  admin(path: string): Promise<string>;
  /** Its proxy, with this in `transparentProxying` of the manifest. */
  restart(transparentProxying: object): Promise<void>;
}

export interface Stage {
  readonly net: Network;
  readonly global: LabGlobal;
  readonly web: Redirected;
  readonly backend: Redirected;
  readonly ingress: { admin(path: string): Promise<string> };
  readonly stranger: { readonly host: NetHost; readonly app: Insider };
  /** `http://…` of a server in the outside world. */
  readonly outside: string;
  /** The questions that came to the name server of the outside world, which knows `outside.example`. */
  readonly questions: readonly string[];
}

export async function openStage(t: TestContext): Promise<Stage> {
  const of = await processes(t);
  const net = await network(t);
  const global = await startGlobal(of);
  await put(global.api, "/meshes/default", mesh("default"));
  await withoutRetries(global.api);
  await put(global.api, "/meshes/default/meshtrafficpermissions/allow-all", allowAll("default"));
  const [zoneA, zoneB] = [await startZone(of, "zone-a", global), await startZone(of, "zone-b", global)];
  const tokenOf = (kind: string, claims: object) =>
    eventually(`a ${kind} token`, 10_000, () => post(global.api, `/tokens/${kind}`, { ...claims, validFor: "1h" }));
  const [token, zoneToken] = [
    await tokenOf("dataplane", { mesh: "default" }),
    await tokenOf("zone", { scope: ["ingress"] }),
  ];
  // Proxies come to the port that the bootstrap names, at another address.
  for (const zone of [zoneA, zoneB]) of.atEnd((await relayTo(zone.dpPort, zone.dpPort, net.testAddress)).close);
  const outside = await startApp("outside", net.testAddress);
  of.atEnd(outside.close);

  const run = (host: NetHost, zone: LabZone, manifest: Manifest, itsToken: string, more: readonly string[] = []) =>
    startProxy({ of, net, host, zone, manifest, token: itsToken, more });
  const redirected = async (host: NetHost, zone: LabZone, name: string, isProbed = false): Promise<Redirected> => {
    const { address } = host;
    const usual = dataplane({ mesh: "default", name, service: name, address, port: appPort, appPort });
    const inbound = usual.networking.inbound.map(({ port, tags, ...one }) =>
      isProbed ? { port, tags, serviceProbe } : { port, tags, ...one },
    );
    const manifest = { ...usual, networking: { ...usual.networking, inbound } };
    const install = [of.program, "install", "transparent-proxy", "--kuma-dp-user", "root", "--redirect-dns"];
    const [command, ...args] = host.inside(process.execPath, ...install);
    const { exit, lines } = await execute(command, args);
    assert.equal(exit.code, 0, lines.join("\n"));
    const app = await startInsider(of, host);
    await app.serve(name, appPort);
    const start = (more: object = {}) => {
      const networking = { ...manifest.networking, ...more };
      return run(host, zone, { ...manifest, networking } as Manifest, token, ["--transparent-proxy"]);
    };
    let proxy = await start();
    return {
      host,
      app,
      admin: (path) => proxy.admin(path),
      async restart(transparentProxying) {
        await proxy.child.end();
        proxy = await start({ transparentProxying });
      },
    };
  };

  const nearby = { web: await net.host("zone-a"), stranger: await net.host("zone-a") };
  const faraway = { backend: await net.host("zone-b"), ingress: await net.host("zone-b") };
  const { address } = faraway.ingress;
  await net.open(faraway.ingress);
  const [web, backend, ingress, stranger] = await Promise.all([
    redirected(nearby.web, zoneA, "web"),
    redirected(faraway.backend, zoneB, "backend", true),
    run(faraway.ingress, zoneB, zoneIngress("ingress-b", address, 10001), zoneToken),
    startInsider(of, nearby.stranger),
  ]);
  return {
    ...{ net, global, web, backend, ingress },
    stranger: { host: nearby.stranger, app: stranger },
    outside: `http://${net.testAddress}:${outside.port}`,
    questions: await serveOutsideNames(of, net.testAddress),
  };
}

async function serveOutsideNames(of: Processes, address: string): Promise<readonly string[]> {
  const questions: string[] = [];
  const socket = createSocket("udp4");
  socket.on("message", (message, { port, address: to }) => {
    const { id, questions: [question] = [] } = decode(message);
    if (!question) return;
    questions.push(question.name);
    const isKnown = question.name === "outside.example";
    const answers =
      isKnown && question.type === "A" ? [{ type: "A" as const, name: question.name, data: address }] : [];
    // Code 3: there is no such name.
    socket.send(encode({ type: "response", id, flags: isKnown ? 0 : 3, questions: [question], answers }), port, to);
  });
  await once(socket.bind(53, address), "listening");
  of.atEnd(async () => void socket.close());
  return questions;
}

interface ProxyOf {
  readonly of: Processes;
  readonly net: Network;
  readonly host: NetHost;
  readonly zone: LabZone;
  readonly manifest: Manifest;
  readonly token: string;
  readonly more: readonly string[];
}

async function startProxy({ of, net, host, zone, manifest, token, more }: ProxyOf) {
  const { type, name } = manifest;
  const workDir = join(of.folder, `${name}.work`);
  const args = [
    ...["run", type === "ZoneIngress" ? "ingress" : "proxy", "--dataplane", await of.file(`${name}.yaml`, manifest)],
    ...["--token-file", await of.file(`${name}.token`, token), "--work-dir", workDir],
    ...["--control-plane", `https://${net.testAddress}:${zone.dpPort}`],
    ...["--ca-cert-file", await of.file(`${zone.name}.pem`, zone.certificate)],
    ...["--readiness-port", "0", "--concurrency", "1", "--drain-time", "10s"],
  ];
  const child = await of.start(name, [...args, ...more], host.inside());
  await child.said(/is ready$/);
  return { child, admin: (path: string) => getOverSocket(join(workDir, "kuma-envoy-admin.sock"), path) };
}
