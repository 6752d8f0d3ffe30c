// What a proxy that is not ours may send to a zone's port for proxies: bootstraps and delta streams made by hand. Our own finds
// much of it before it asks; the control plane relies on nobody for that.

import { create, fromBinary, fromJson, toBinary } from "@bufbuild/protobuf";
import { parse } from "yaml";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { request } from "#host/https.ts";
import type { Status } from "#host/world.ts";
import { adsPath } from "#xds/server.ts";
import type { Stage } from "./stage.ts";

const skipVerify = { kind: "skip-verify" } as const;

/** `dataplaneResource` as an object. */
export async function bootstrap({ dp }: Pick<Stage, "dp">, body: object): Promise<{ status: number; text: string }> {
  const answer = await request({
    url: `${dp.zone}/bootstrap`,
    trust: skipVerify,
    method: "POST",
    headers: { accept: "application/json" },
    body: JSON.stringify(body, (name, value) => (name === "dataplaneResource" ? JSON.stringify(value) : value)),
  });
  return { status: answer.status, text: Buffer.from(answer.body).toString() };
}

/** The first request of the Envoy that was given this bootstrap. */
export async function firstRequest(stage: Pick<Stage, "dp">, body: object): Promise<DeltaDiscoveryRequest> {
  const { text } = await bootstrap(stage, body);
  const { node } = parse(Buffer.from(JSON.parse(text).bootstrap, "base64").toString());
  return fromJson(DeltaDiscoveryRequestSchema, {
    node,
    typeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  });
}

/** How a stream ends that begins so; of one that is answered, the type of the answer. */
export async function stream(
  { world }: Pick<Stage, "world">,
  port: number,
  first: DeltaDiscoveryRequest,
  token: string,
): Promise<Status | string> {
  const connection = world.network.dial({ host: "127.0.0.1", port, trust: skipVerify });
  try {
    return await new Promise((resolve) => {
      const stream = connection.stream(adsPath, { headers: { authorization: token } });
      stream.onMessage((message) => resolve(fromBinary(DeltaDiscoveryResponseSchema, message).typeUrl));
      stream.onDrained(() => {});
      stream.onEnd(resolve);
      stream.send([toBinary(DeltaDiscoveryRequestSchema, first)]);
    });
  } finally {
    connection.close();
  }
}

/** The same, but for what its node is called and says of itself. */
export const withNode = (
  first: DeltaDiscoveryRequest,
  node: { readonly id?: string; readonly metadata?: Readonly<Record<string, string>> },
): DeltaDiscoveryRequest =>
  create(DeltaDiscoveryRequestSchema, {
    ...first,
    node: { ...first.node!, id: node.id ?? first.node!.id, metadata: { ...first.node!.metadata, ...node.metadata } },
  });
