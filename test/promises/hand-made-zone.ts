// A zone made by hand, as the other end of a real global's KDS: it sends what it likes, and answers when it likes.

import type { TestContext } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { features, headersOf, metadataOf, path } from "#kds/wire.ts";
import { signal, type TestGlobal, world } from "../kds/control-planes.ts";

/** As on the wire. */
export interface Sent {
  readonly name: string;
  readonly value: Uint8Array;
}

export interface HandMadeZone {
  /**
   * Sends objects of a kind, and names of such as are removed; resolves with why some are refused, or with an empty text.
   * `unasked`: without having been asked for that kind.
   */
  send(
    kind: string,
    objects: readonly Sent[],
    removed?: readonly string[],
    more?: { readonly unasked?: boolean },
  ): Promise<string>;
  /** Asks global for a kind; resolves with its first response, which nobody answers. */
  ask(kind: string): Promise<DeltaDiscoveryResponse>;
  /** The response of the kind that comes after that one. */
  next(kind: string, after: DeltaDiscoveryResponse): Promise<DeltaDiscoveryResponse>;
  answer(response: DeltaDiscoveryResponse, refusal?: string): void;
  close(): void;
}

/** `isStock`: it speaks as Kuma does, without what Kodiaks say to each other. */
export function handMadeZone(t: TestContext, global: TestGlobal, zone: string, { isStock = false } = {}): HandMadeZone {
  const connection = world.network.dial(global.target);
  t.after(() => connection.close());
  const changed = signal();
  const requests: DeltaDiscoveryRequest[] = [];
  const responses: DeltaDiscoveryResponse[] = [];
  const open = (name: string, take: (message: Uint8Array) => void) => {
    const stream = connection.stream(name, { headers: headersOf(zone, "test") });
    stream.onMessage((message) => {
      take(message);
      changed.fire();
    });
    stream.onDrained(() => {});
    stream.onEnd(() => {});
    return stream;
  };
  const up = open(path.zoneToGlobal, (message) => requests.push(fromBinary(DeltaDiscoveryRequestSchema, message)));
  const down = open(path.globalToZone, (message) => responses.push(fromBinary(DeltaDiscoveryResponseSchema, message)));
  const said = metadataOf({ instanceId: `${zone}-1`, version: "test" });
  const metadata = isStock ? { ...said, features: features.filter((one) => one !== "kodiak-resume") } : said;
  const node = { id: zone, metadata };
  let lastNonce = 0;
  const until = async <T>(what: string, find: () => T | undefined): Promise<T> => {
    await changed.until(
      () => find() !== undefined,
      () => what,
    );
    return find()!;
  };
  return {
    async send(kind, objects, removed = [], { unasked = false } = {}) {
      const nonce = `n${++lastNonce}`;
      await until(`global asks for ${kind}`, () => requests.find(({ typeUrl }) => unasked || typeUrl === kind));
      const resources = objects.map(({ name, value }) => ({ name, version: nonce, resource: { typeUrl: "", value } }));
      const response = create(DeltaDiscoveryResponseSchema, {
        ...{ typeUrl: kind, nonce, resources },
        removedResources: [...removed],
      });
      up.send([toBinary(DeltaDiscoveryResponseSchema, response)]);
      const answer = await until(`an answer to ${kind}`, () =>
        requests.find(({ typeUrl, responseNonce }) => typeUrl === kind && responseNonce === nonce),
      );
      return answer.errorDetail?.message ?? "";
    },
    async ask(kind) {
      const request = create(DeltaDiscoveryRequestSchema, { typeUrl: kind, resourceNamesSubscribe: ["*"], node });
      down.send([toBinary(DeltaDiscoveryRequestSchema, request)]);
      return until(`a response of ${kind}`, () => responses.find(({ typeUrl }) => typeUrl === kind));
    },
    next: (kind, after) =>
      until(`another response of ${kind}`, () =>
        responses.slice(responses.indexOf(after) + 1).find(({ typeUrl }) => typeUrl === kind),
      ),
    answer({ typeUrl, nonce }, refusal) {
      const errorDetail = refusal === undefined ? {} : { errorDetail: { message: refusal } };
      const request = create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce, node, ...errorDetail });
      down.send([toBinary(DeltaDiscoveryRequestSchema, request)]);
    },
    close: () => connection.close(),
  };
}
