// The receiving end of one stream: ZoneToGlobalSync at global, GlobalToZoneSync in a zone. Subscribes to each kind, writes what
// arrives to the store, and answers when it is durable (interop 4.3.4). Responses are applied one after the other, each in one
// transaction; from a Kodiak all of one revision in one.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Apply, newReceiver, type Receiver, receive, replyOf, subscribeRequestOf } from "#discovery/receiver.ts";
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import type { Log } from "#host/log.ts";
import type { Stream } from "#host/world.ts";
import { outcomeOf, type Side } from "#kds/accept.ts";
import { decodeResource } from "#kds/codec.ts";
import { metadataOf, revisionOf, type Self } from "#kds/wire.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Kind, Validate } from "#resources/kind.ts";
import type { Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";

export interface ReceivingOptions {
  readonly stream: Pick<Stream, "send">;
  readonly kinds: readonly Kind[];
  /** The zone's name, on both sides: `node.id`. */
  readonly zone: string;
  readonly self: Self;
  readonly side: Side;
  readonly store: Store;
  readonly validate: Validate;
  readonly log: Log;
  /** A response was applied, or refused in part. */
  readonly onTaken?: (kind: string, refusal: string | undefined) => void;
  /** Each kind has come once: called when the last of them is in the store. */
  readonly onComplete?: () => void;
  /** What was received up to this revision of the sender's store is in the store. */
  readonly onApplied?: (revision: string) => void;
  /** Nothing more is taken: what was sent is no response, or the store cannot keep it. */
  readonly onFailure: (error: unknown) => void;
}

export interface Receiving {
  subscribe(): void;
  received(message: Uint8Array): void;
  /** Repeats the last answer of each kind. */
  answerAgain(): void;
  ended(): void;
}

type Reply = MessageInitShape<typeof DeltaDiscoveryRequestSchema>;
/** A response, read; still to be applied. */
interface Taken {
  readonly kind: Kind;
  readonly apply: Apply<Resource>;
  readonly receiver: Receiver;
  readonly nonce: string;
  readonly refusal: string | undefined;
}

export function receiving(options: ReceivingOptions): Receiving {
  const { zone, side, store } = options;
  const kinds = new Map(options.kinds.map((kind) => [kind.name, kind]));
  const receivers = new Map(options.kinds.map(({ name }) => [name, newReceiver(name, zone)]));
  const lastNonce = new Map<string, string>();
  const queue: DeltaDiscoveryResponse[][] = [];
  /** Of a revision of which more is to come. */
  let gathered: DeltaDiscoveryResponse[] = [];
  /** Kinds of which nothing has come yet. */
  const unheard = new Set(kinds.keys());
  let isOver = false;
  let isApplying = false;

  function send(request: Reply): void {
    if (!isOver)
      options.stream.send([toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request))]);
  }

  function answer({ receiver, nonce }: Pick<Taken, "receiver" | "nonce">, refusal: string | undefined): void {
    if (refusal !== undefined) {
      options.log.warn({ kind: receiver.typeUrl, refusal }, "refused a part of what another control plane sent");
    }
    lastNonce.set(receiver.typeUrl, nonce);
    send(replyOf(receiver, nonce, refusal));
  }

  /** `undefined`: refused as a whole, and answered. */
  function take(response: DeltaDiscoveryResponse): Taken | undefined {
    const { typeUrl, nonce } = response;
    const kind = kinds.get(typeUrl);
    const receiver = receivers.get(typeUrl);
    if (!kind || !receiver) {
      const what = typeUrl === "" ? "a response without a type" : typeUrl;
      answer({ receiver: newReceiver(typeUrl, zone), nonce }, `${what} was not asked for`);
      return undefined;
    }
    const resources = response.resources.map(({ name, resource }) => {
      const decoded = decodeResource(kind, resource?.value ?? new Uint8Array(), side.amend);
      const { issues } = decoded;
      return {
        name,
        resource: decoded.resource,
        issues: issues.length > 0 ? issues : options.validate(decoded.resource),
      };
    });
    const { next, apply, reply } = receive(receiver, { nonce, resources, removed: response.removedResources });
    receivers.set(typeUrl, next);
    return { kind, apply, receiver: next, nonce, refusal: reply.errorDetail?.message };
  }

  async function applyNext(): Promise<void> {
    if (isApplying) return;
    isApplying = true;
    try {
      for (let responses = queue.shift(); responses && !isOver; responses = queue.shift()) await apply(responses);
    } catch (error) {
      if (!isOver) options.onFailure(error);
    } finally {
      isApplying = false;
    }
  }

  async function apply(responses: readonly DeltaDiscoveryResponse[]): Promise<void> {
    const taken = responses.flatMap((response) => take(response) ?? []);
    const conflicts = await written(taken);
    const isFirst = unheard.size > 0;
    for (const [i, one] of taken.entries()) {
      const reasons = [one.refusal, ...(conflicts[i] ?? [])].filter((reason) => reason !== undefined);
      const refusal = reasons.length === 0 ? undefined : reasons.join("\n");
      answer(one, refusal);
      options.onTaken?.(one.kind.name, refusal);
      unheard.delete(one.kind.name);
    }
    if (isFirst && unheard.size === 0) options.onComplete?.();
    const revision = revisionOf(responses.at(-1)?.systemVersionInfo ?? "");
    if (revision) options.onApplied?.(revision.revision);
  }

  /** Writes all in one transaction; what it returns are the conflicts of each. Somebody else may write the same meanwhile. */
  async function written(taken: readonly Taken[]): Promise<readonly (readonly string[])[]> {
    for (let attempt = 1; ; attempt++) {
      const outcomes = taken.map(({ kind, apply }) => outcomeOf(kind, apply, side, store));
      const edits = outcomes.flatMap(({ edits }) => edits);
      try {
        if (edits.length > 0) await store.write(edits);
        return outcomes.map(({ conflicts }) => conflicts);
      } catch (error) {
        const isConflict = error instanceof KodiakError && error.failure.kind === "conflict";
        if (!isConflict || attempt === mostAttempts) throw error;
      }
    }
  }

  return {
    subscribe() {
      const metadata = metadataOf(options.self);
      for (const receiver of receivers.values()) send(subscribeRequestOf(receiver, metadata));
    },
    received(message) {
      if (isOver) return;
      try {
        const response = fromBinary(DeltaDiscoveryResponseSchema, message);
        gathered.push(response);
        if (revisionOf(response.systemVersionInfo)?.more && gathered.length < kinds.size) return;
        if (queue.length === mostWaiting)
          throw new Error(`${mostWaiting} responses came without waiting for an answer`);
        queue.push(gathered);
        gathered = [];
        void applyNext();
      } catch (error) {
        options.onFailure(error);
      }
    },
    answerAgain() {
      for (const [kind, nonce] of lastNonce) send(replyOf(newReceiver(kind, zone), nonce));
    },
    ended() {
      isOver = true;
    },
  };
}

const mostAttempts = 5;
/** A sender waits for the answer of a kind before it sends more of it. */
const mostWaiting = 1_000;
