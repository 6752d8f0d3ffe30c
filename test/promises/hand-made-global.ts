// A global control plane made by hand that speaks as Kuma does: it asks a zone for some kinds, and acknowledges what comes; it
// sends what it likes.

import type { TestContext } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { certificateFor } from "#host/certificate-for-test.ts";
import type { ServerStream, Target } from "#host/world.ts";
import { features, metadataOf, path } from "#kds/wire.ts";
import { signal, world } from "../kds/control-planes.ts";
import type { Sent } from "./hand-made-zone.ts";

export interface HandMadeGlobal {
  readonly target: Target;
  /** Resolves with the first response of each of the kinds. */
  all(): Promise<ReadonlyMap<string, { readonly response: DeltaDiscoveryResponse; readonly sizeBytes: number }>>;
  /** Sends objects of a kind, when the zone has asked for it; resolves with why some are refused, or with an empty text. */
  send(kind: string, objects: readonly Sent[]): Promise<string>;
}

export async function handMadeGlobal(t: TestContext, kinds: readonly string[]): Promise<HandMadeGlobal> {
  const certificate = await certificateFor(["127.0.0.1"]);
  const changed = signal();
  const first = new Map<string, { readonly response: DeltaDiscoveryResponse; readonly sizeBytes: number }>();
  const metadata = {
    ...metadataOf({ instanceId: "global-1", version: "test" }),
    features: features.filter((one) => one !== "kodiak-resume"),
  };
  let down: ServerStream | undefined;
  const asked: DeltaDiscoveryRequest[] = [];
  let lastNonce = 0;
  const answer = (stream: ServerStream): void => {
    down = stream;
    stream.onMessage((message) => {
      asked.push(fromBinary(DeltaDiscoveryRequestSchema, message));
      changed.fire();
    });
    stream.onDrained(() => {});
    stream.onEnd(() => {});
    stream.sendHeaders();
  };
  const receive = (stream: ServerStream): void => {
    stream.onDrained(() => {});
    stream.onEnd(() => {});
    const send = (
      request: Partial<Pick<DeltaDiscoveryRequest, "typeUrl" | "responseNonce" | "resourceNamesSubscribe">>,
    ) =>
      stream.send([
        toBinary(
          DeltaDiscoveryRequestSchema,
          create(DeltaDiscoveryRequestSchema, { ...request, node: { id: "a", metadata } }),
        ),
      ]);
    stream.onMessage((message) => {
      const response = fromBinary(DeltaDiscoveryResponseSchema, message);
      const { typeUrl, nonce: responseNonce } = response;
      if (!first.has(typeUrl)) first.set(typeUrl, { response, sizeBytes: message.length });
      send({ typeUrl, responseNonce });
      changed.fire();
    });
    stream.sendHeaders();
    for (const typeUrl of kinds) send({ typeUrl, resourceNamesSubscribe: ["*"] });
  };
  const listening = await world.network.listen({
    ...{ host: "127.0.0.1", port: 0, ...certificate },
    streams: { [path.zoneToGlobal]: receive, [path.globalToZone]: answer },
  });
  t.after(() => listening.close("the end of the test"));
  return {
    target: { host: "127.0.0.1", port: listening.port, trust: { kind: "ca", ca: certificate.ca } },
    async all() {
      await changed.until(
        () => first.size === kinds.length,
        () => `responses of ${kinds.join(", ")}; there are ${[...first.keys()].join(", ")}`,
      );
      return first;
    },
    async send(typeUrl, objects) {
      const nonce = `n${++lastNonce}`;
      const until = (what: string, holds: (request: DeltaDiscoveryRequest) => boolean) =>
        changed.until(
          () => asked.some(holds),
          () => what,
        );
      await until(`the zone asks for ${typeUrl}`, (one) => one.typeUrl === typeUrl);
      const resources = objects.map(({ name, value }) => ({ name, version: nonce, resource: { typeUrl: "", value } }));
      const response = create(DeltaDiscoveryResponseSchema, { typeUrl, nonce, resources });
      down?.send([toBinary(DeltaDiscoveryResponseSchema, response)]);
      await until(`an answer to ${typeUrl}`, (one) => one.responseNonce === nonce);
      return asked.find(({ responseNonce }) => responseNonce === nonce)?.errorDetail?.message ?? "";
    },
  };
}
