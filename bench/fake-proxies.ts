// Many fake proxies in one process, each with a connection of its own: delta ADS over TLS. They share the machine with what is
// measured, so they look into what they get no more than they must.
//
// The bench tells the process over HTTP what to do, one order at a time.

import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import { adsPath } from "#xds/server.ts";
import { fakeEnvoy } from "./fake-envoy.ts";
import { requestBytes, responseOf } from "./fake-messages.ts";
import { type Tallied, tally, type Watched } from "./tally.ts";

/** The one argument of this program, as JSON. */
export interface FakeProxies {
  readonly zone: string;
  readonly host: string;
  readonly port: number;
  readonly fingerprint: string;
  readonly token: string;
  /** Number of its first proxy. */
  readonly first: number;
  readonly count: number;
  /** How many services all offer, in turn. */
  readonly services: number;
  /** Of each proxy. */
  readonly outbounds: number;
}

/** Each is answered with what came since the last `watch`. */
export type Order =
  /** All connect, at once. */
  | { readonly kind: "connect" }
  | { readonly kind: "watch"; readonly what: Watched }
  /** Answered when all that wait have seen what is watched. */
  | { readonly kind: "seen" }
  | { readonly kind: "received" };

interface FakeProxy extends Tallied {
  readonly name: string;
}

const options: FakeProxies = JSON.parse(process.argv[2] ?? "");
const { network } = realWorld({ log: openLog("warn") });
const proxies = Array.from({ length: options.count }, (_, n) => fakeProxy(options.first + n));
const counted = tally(proxies);

function fakeProxy(i: number): FakeProxy {
  const { zone, services, outbounds } = options;
  const name = `fake-${zone}-${i}`;
  // Where all call all, all do so at the same addresses, as with virtual ones.
  const first = outbounds === services ? 0 : i;
  const called = Array.from({ length: outbounds }, (_, n) => `s-${(first + n) % services}`);
  const dataplane = {
    type: "Dataplane",
    mesh: "default",
    name,
    networking: {
      address: `127.${zone === "zone-a" ? 1 : 2}.${i >> 8}.${i & 255}`,
      inbound: [{ port: 8080, tags: { "kuma.io/service": `s-${i % services}`, "kuma.io/protocol": "http" } }],
      outbound: called.map((service, n) => ({ port: 9000 + n, tags: { "kuma.io/service": service } })),
    },
  };
  const metadata = { "dataplane.resource": JSON.stringify(dataplane), "dataplane.proxyType": "dataplane" };
  return { name, services: new Set(called), envoy: fakeEnvoy({ node: { id: `default.${name}`, metadata } }) };
}

/** As Envoy does: the next try after up to 0.5 s, then up to 1 s, 2 s … */
const backOffMs = (tries: number): number => Math.random() * Math.min(500 * 2 ** tries, 30_000);

async function stayConnected(proxy: FakeProxy): Promise<never> {
  for (let tries = 0; ; tries++) {
    if (await connected(proxy)) tries = 0;
    counted.lost(proxy);
    await pause(backOffMs(tries));
  }
}

/** Resolves when its stream has ended, with whether anything came. */
async function connected(proxy: FakeProxy): Promise<boolean> {
  const { host, port, fingerprint, token } = options;
  const { envoy } = proxy;
  const connection = network.dial({ host, port, trust: { kind: "fingerprint", sha256: fingerprint }, pings: false });
  try {
    await connection.ready;
  } catch {
    return false;
  }
  const stream = connection.stream(adsPath, { headers: { authorization: token } });
  let hasReceived = false;
  stream.onMessage((message) => {
    hasReceived = true;
    const response = responseOf(message);
    envoy.receive(response);
    counted.taken(proxy, response, message.length);
  });
  envoy.open((type, request) => stream.send([requestBytes(type, request)]));
  await new Promise<void>((resolve) => stream.onEnd(() => resolve()));
  connection.close();
  return hasReceived;
}

async function follow(order: Order): Promise<void> {
  switch (order.kind) {
    case "connect":
      for (const proxy of proxies) void stayConnected(proxy);
      return;
    case "watch":
      counted.watch(order.what);
      return;
    case "seen":
      return counted.seen();
    case "received":
      return;
  }
}

const server = createServer(async (request, response) => {
  const order: Order = JSON.parse(await text(request));
  await follow(order);
  response.end(JSON.stringify(counted.received()));
});
process.on("SIGTERM", () => process.exit(0));
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  process.stdout.write(`${JSON.stringify({ msg: "fake proxies are there", port })}\n`);
});
