// Many proxies in one process, each with a connection of its own: delta ADS over TLS, asking and acknowledging as Envoy does.
// Prints one line when all of them have their configuration, then stays until it is ended.

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

export interface FakeProxies {
  readonly zone: string;
  readonly host: string;
  readonly port: number;
  readonly fingerprint: string;
  readonly token: string;
  readonly count: number;
  readonly services: number;
  readonly outbounds: number;
}

const options: FakeProxies = JSON.parse(process.argv[2] ?? "");
const log = openLog("warn");
const { network } = realWorld({ log });

function dataplaneOf(i: number): object {
  const zoneOctet = options.zone === "zone-a" ? 1 : 2;
  return {
    type: "Dataplane",
    mesh: "default",
    name: `fake-${options.zone}-${i}`,
    networking: {
      address: `127.${zoneOctet}.${i >> 8}.${i & 255}`,
      inbound: [{ port: 8080, tags: { "kuma.io/service": `s-${i % options.services}`, "kuma.io/protocol": "http" } }],
      outbound: Array.from({ length: options.outbounds }, (_, n) => ({
        port: 9000 + n,
        tags: { "kuma.io/service": `s-${(i + n) % options.services}` },
      })),
    },
  };
}

/** Resolves when its listeners have come and been acknowledged. */
async function run(i: number): Promise<void> {
  const { host, port, fingerprint, token, zone } = options;
  const connection = network.dial({ host, port, trust: { kind: "fingerprint", sha256: fingerprint } });
  await connection.ready;
  const stream = connection.stream(adsPath, { headers: { authorization: token } });
  const asked = new Set<string>();
  const ask = (type: EnvoyType, rest: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void => {
    const request = create(DeltaDiscoveryRequestSchema, { ...rest, typeUrl: envoyTypeUrl[type] });
    stream.send([toBinary(DeltaDiscoveryRequestSchema, request)]);
  };
  const subscribe = (type: EnvoyType, names: readonly string[]): void => {
    const fresh = names.filter((name) => !asked.has(`${type} ${name}`));
    for (const name of fresh) asked.add(`${type} ${name}`);
    if (fresh.length > 0) ask(type, { resourceNamesSubscribe: [...fresh] });
  };
  return new Promise((resolve, reject) => {
    stream.onEnd((status) => reject(new Error(`fake-${zone}-${i}: ${status.code} ${status.message}`)));
    stream.onMessage((bytes) => {
      const response = fromBinary(DeltaDiscoveryResponseSchema, bytes);
      const type = envoyTypeOf(response.typeUrl);
      if (!type) return;
      for (const { resource } of response.resources) {
        if (!resource) continue;
        const text = JSON.stringify(decode(type, resource.value));
        if (type === "cluster" && text.includes("edsClusterConfig")) subscribe("endpoint", [JSON.parse(text).name]);
        if (type === "cluster" && text.includes("identity_cert"))
          subscribe("secret", ["identity_cert:secret:default", "mesh_ca:secret:default"]);
        if (type === "listener")
          subscribe(
            "route",
            [...text.matchAll(/"routeConfigName":"([^"]+)"/g)].map((match) => match[1] ?? ""),
          );
      }
      ask(type, { responseNonce: response.nonce });
      if (type === "listener" && response.resources.length > 0) resolve();
    });
    const metadata = { "dataplane.resource": JSON.stringify(dataplaneOf(i)), "dataplane.proxyType": "dataplane" };
    ask("cluster", { node: { id: `default.fake-${zone}-${i}`, metadata } });
    ask("listener", {});
  });
}

await Promise.all(Array.from({ length: options.count }, (_, i) => run(i)));
process.stdout.write(`${JSON.stringify({ msg: "fake proxies are ready", count: options.count })}\n`);
process.on("SIGTERM", () => process.exit(0));
