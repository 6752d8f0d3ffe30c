// Many proxies in one process, each with a connection of its own: delta ADS over TLS, asking and acknowledging as Envoy does.
// They share the machine with what is measured, so they read only what names further resources, and that once.
// Prints one line when all have their listeners, then stays until it is ended; a stream that ends ends all of it, so that no
// number is taken with fewer proxies than it says.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type EnvoyType, envoyTypeOf, envoyTypeUrl } from "#discovery/order.ts";
import { decode } from "#envoy/encode.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import { adsPath } from "#xds/server.ts";

/** The one argument of this program, as JSON. */
export interface FakeProxies {
  readonly zone: string;
  readonly host: string;
  readonly port: number;
  readonly fingerprint: string;
  readonly token: string;
  readonly count: number;
  /** How many services they offer, in turn. */
  readonly services: number;
  /** Of each proxy. */
  readonly outbounds: number;
}

const options: FakeProxies = JSON.parse(process.argv[2] ?? "");
const { network } = realWorld({ log: openLog("warn") });

const dataplaneOf = (i: number) => ({
  type: "Dataplane",
  mesh: "default",
  name: `fake-${options.zone}-${i}`,
  networking: {
    address: `127.${options.zone === "zone-a" ? 1 : 2}.${i >> 8}.${i & 255}`,
    inbound: [{ port: 8080, tags: { "kuma.io/service": `s-${i % options.services}`, "kuma.io/protocol": "http" } }],
    outbound: Array.from({ length: options.outbounds }, (_, n) => ({
      port: 9000 + n,
      tags: { "kuma.io/service": `s-${(i + n) % options.services}` },
    })),
  },
});

/** What Envoy would ask for next, having got this. */
function referredTo(type: EnvoyType, bytes: Uint8Array, name: string): readonly (readonly [EnvoyType, string])[] {
  if (type !== "cluster" && type !== "listener") return [];
  const text = JSON.stringify(decode(type, bytes));
  const secrets = /"name":"((?:identity_cert|mesh_ca):[^"]+)"/g;
  const routes = /"routeConfigName":"([^"]+)"/g;
  const found = (pattern: RegExp, of: EnvoyType) =>
    [...text.matchAll(pattern)].map((match) => [of, match[1] ?? ""] as const);
  const endpoints = text.includes('"edsClusterConfig"') ? [["endpoint", name] as const] : [];
  return [...endpoints, ...found(secrets, "secret"), ...found(routes, "route")];
}

/** Resolves when its listeners have come. */
async function run(i: number): Promise<void> {
  const { host, port, fingerprint, token, zone } = options;
  const connection = network.dial({ host, port, trust: { kind: "fingerprint", sha256: fingerprint } });
  await connection.ready;
  const stream = connection.stream(adsPath, { headers: { authorization: token } });
  const asked = new Set<string>();
  const read = new Set<string>();
  const ask = (type: EnvoyType, rest: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void => {
    const request = create(DeltaDiscoveryRequestSchema, { ...rest, typeUrl: envoyTypeUrl[type] });
    stream.send([toBinary(DeltaDiscoveryRequestSchema, request)]);
  };
  const subscribe = (refers: readonly (readonly [EnvoyType, string])[]): void => {
    const fresh = new Map<EnvoyType, string[]>();
    for (const [type, name] of refers) {
      if (asked.has(`${type} ${name}`)) continue;
      asked.add(`${type} ${name}`);
      fresh.set(type, [...(fresh.get(type) ?? []), name]);
    }
    for (const [type, names] of fresh) ask(type, { resourceNamesSubscribe: names });
  };
  return new Promise((resolve) => {
    stream.onEnd(({ code, message }) => {
      process.stderr.write(`fake-${zone}-${i} lost its stream: ${code} ${message}\n`);
      process.exit(1);
    });
    stream.onMessage((bytes) => {
      const response = fromBinary(DeltaDiscoveryResponseSchema, bytes);
      const type = envoyTypeOf(response.typeUrl);
      if (!type) throw new Error(`a resource of type ${response.typeUrl}, for which nobody asked`);
      ask(type, { responseNonce: response.nonce });
      for (const { name, resource } of response.resources) {
        if (!resource || read.has(`${type} ${name}`)) continue;
        read.add(`${type} ${name}`);
        subscribe(referredTo(type, resource.value, name));
      }
      if (type === "listener" && response.resources.length > 0) resolve();
    });
    const metadata = { "dataplane.resource": JSON.stringify(dataplaneOf(i)), "dataplane.proxyType": "dataplane" };
    ask("cluster", { node: { id: `default.fake-${zone}-${i}`, metadata } });
    ask("listener", {});
  });
}

process.on("SIGTERM", () => process.exit(0));
await Promise.all(Array.from({ length: options.count }, (_, i) => run(i)));
process.stdout.write(`${JSON.stringify({ msg: "fake proxies are ready", count: options.count })}\n`);
