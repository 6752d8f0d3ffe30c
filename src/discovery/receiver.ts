// The receiving half of KDS for one type on one stream: global ← zone and zone ← global alike, without I/O.
//
//   response ─► what to apply to the store, and the ACK or NACK that is due when that is done
//
// From a stock peer the first response of a type is everything it has, later ones are differences (rules of interop 4.3.4). A
// Kodiak always sends differences, and says itself what it lacks (decision 6). What is lacking is absent; nothing here says
// that it is to be deleted.

import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import type { DeltaDiscoveryRequestSchema } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { describeIssues, type Issue } from "#lib/issue.ts";

export interface Receiver {
  readonly typeUrl: string;
  /** The zone's name in both directions. A stock peer crashes on a request without it, ACKs included. */
  readonly nodeId: string;
  readonly isInitial: boolean;
}

/** A response whose resources are decoded; one that can't be decoded ends the stream and does not come here. */
export interface Response<R> {
  readonly nonce: string;
  readonly resources: readonly Received<R>[];
  readonly removed: readonly string[];
  /** What the receiver has and the sender has not, without a word that it was deleted. Left out: it does not tell. */
  readonly absent?: readonly string[];
}

export interface Received<R> {
  /** As on the wire: `<name>.<mesh>`. */
  readonly name: string;
  readonly resource: R;
  readonly issues: readonly Issue[];
}

export interface Apply<R> {
  readonly isInitial: boolean;
  readonly upsert: readonly Received<R>[];
  readonly remove: readonly string[];
  /** `rest`: what the store has of this sender and is neither in `upsert` nor in `skipped`. */
  readonly absent: readonly string[] | "rest";
  /** Invalid: to be left as they are in the store. */
  readonly skipped: readonly string[];
}

export type KdsRequest = MessageInitShape<typeof DeltaDiscoveryRequestSchema>;

export interface ReceiverStep<R> {
  readonly next: Receiver;
  readonly apply: Apply<R>;
  /** To be sent when `apply` is done; should the store find a conflict, `replyOf` with its text instead. */
  readonly reply: KdsRequest;
}

export const newReceiver = (typeUrl: string, nodeId: string): Receiver => ({ typeUrl, nodeId, isInitial: true });

/** The first request of a type. */
export const subscribeRequestOf = ({ typeUrl, nodeId }: Receiver, metadata?: JsonObject): KdsRequest => ({
  typeUrl,
  resourceNamesSubscribe: ["*"],
  node: { id: nodeId, ...(metadata ? { metadata } : {}) },
});

export function receive<R>(now: Receiver, response: Response<R>): ReceiverStep<R> {
  const valid = response.resources.filter(({ issues }) => issues.length === 0);
  const invalid = response.resources.filter(({ issues }) => issues.length > 0);
  const named = new Set(response.resources.map(({ name }) => name));
  return {
    next: { ...now, isInitial: false },
    apply: {
      isInitial: now.isInitial,
      upsert: valid,
      // Both removed and there is an update.
      remove: response.removed.filter((name) => !named.has(name)),
      absent: response.absent?.filter((name) => !named.has(name)) ?? (now.isInitial ? "rest" : []),
      skipped: invalid.map(({ name }) => name),
    },
    reply: replyOf(now, response.nonce, refusalOf(invalid)),
  };
}

/** ACK, or NACK with a reason. Stock peers put the issues of one resource in a line, resources below each other. */
export const replyOf = (now: Receiver, nonce: string, refusal?: string): KdsRequest => ({
  typeUrl: now.typeUrl,
  responseNonce: nonce,
  node: { id: now.nodeId },
  ...(refusal === undefined ? {} : { resourceNamesSubscribe: ["*"], errorDetail: { message: refusal } }),
});

const refusalOf = (invalid: readonly Received<unknown>[]): string | undefined =>
  invalid.length === 0 ? undefined : invalid.map(({ issues }) => describeIssues(issues)).join("\n");
