// A global control plane made by hand that speaks as Kuma does: it asks a zone for some kinds, and acknowledges what comes.

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

export interface HandMadeGlobal {
  readonly target: Target;
  /** Resolves with the first response of each of the kinds. */
  all(): Promise<ReadonlyMap<string, { readonly response: DeltaDiscoveryResponse; readonly sizeBytes: number }>>;
}

export async function handMadeGlobal(t: TestContext, kinds: readonly string[]): Promise<HandMadeGlobal> {
  const certificate = await certificateFor(["127.0.0.1"]);
  const changed = signal();
  const first = new Map<string, { readonly response: DeltaDiscoveryResponse; readonly sizeBytes: number }>();
  const metadata = {
    ...metadataOf({ instanceId: "global-1", version: "test" }),
    features: features.filter((one) => one !== "kodiak-resume"),
  };
  const silent = (stream: ServerStream): void => {
    stream.onMessage(() => {});
    stream.onDrained(() => {});
    stream.onEnd(() => {});
  };
  const receive = (stream: ServerStream): void => {
    silent(stream);
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
    streams: { [path.zoneToGlobal]: receive, [path.globalToZone]: silent },
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
  };
}
