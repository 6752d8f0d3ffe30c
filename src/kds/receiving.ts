// The receiving end of one stream: ZoneToGlobalSync at global, GlobalToZoneSync in a zone. Subscribes to each kind, writes what
// arrives to the store, and answers when it is durable (interop 4.3.4). Responses are applied one after the other, each in one
// transaction with where the link stands after it (decision 6); from a Kodiak all of one revision in one.

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { afterApplied, type LinkState, type Position, standingOf } from "#discovery/link.ts";
import { messageIn } from "#discovery/message.ts";
import { type Apply, newReceiver, type Receiver, receive, replyOf, subscribeRequestOf } from "#discovery/receiver.ts";
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import type { Log } from "#host/log.ts";
import type { RefusalRecord } from "#host/refusal-record.ts";
import { type Clock, GrpcError, grpcCode, type Stream } from "#host/world.ts";
import { type Outcome, outcomeOf, type Side } from "#kds/accept.ts";
import { type Decoded, decodeResource } from "#kds/codec.ts";
import { linkEdit, linkTo, type Peer, release, retried } from "#kds/link.ts";
import { idOfWireName, wireNameOf } from "#kds/name.ts";
import { type RefusedList, refusalText } from "#kds/refused.ts";
import { resumeMetadata, saidIn, unknownVersion } from "#kds/resume.ts";
import { stockStore } from "#kds/stock-store.ts";
import { metadataOf, type Self } from "#kds/wire.ts";
import { describeIssues, type Issue } from "#lib/issue.ts";
import { isEqual } from "#lib/json.ts";
import type { Kind, Validate } from "#resources/kind.ts";
import { describeId, type Resource } from "#resources/resource.ts";
import type { ResourceEdit, Store } from "#resources/store.ts";

export interface ReceivingOptions {
  readonly stream: Pick<Stream, "send">;
  readonly kinds: readonly Kind[];
  /** The zone's name, on both sides: `node.id`. */
  readonly zone: string;
  /** Whom it receives from. */
  readonly peer: Peer;
  readonly self: Self;
  readonly side: Side;
  readonly store: Store;
  readonly validate: Validate;
  readonly clock: Clock;
  readonly log: Log;
  /** What is refused of what this peer sends, over all its connections. */
  readonly refused: RefusedList;
  /** To be recorded: an object whose refusal is new, or what was tried beside. */
  readonly onRefused?: (note: keyof RefusalRecord, write: RefusedWrite) => void;
  /** A response was applied, or refused in part. */
  readonly onTaken?: (kind: string, refusal: string | undefined) => void;
  /** Each kind has come once: called when the last of them is in the store. */
  readonly onComplete?: () => void;
  /** What was received up to this revision of the sender's store, `<store>/<number>`, is in the store. */
  readonly onApplied?: (revision: string) => void;
  /** Nothing more is taken: what was sent is no response, or the store cannot keep it. */
  readonly onFailure: (error: unknown) => void;
}

export interface RefusedWrite {
  readonly verb: "write" | "delete";
  readonly what: { readonly kind: string; readonly mesh?: string; readonly name?: string };
  readonly why: string;
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
  /** As a stock peer is told. */
  readonly refusal: string | undefined;
  /** All that the response speaks of, and why some of it is refused. */
  readonly names: readonly string[];
  readonly refused: ReadonlyMap<string, string>;
}

export function receiving(options: ReceivingOptions): Receiving {
  const { zone, side, store, clock, peer } = options;
  const kinds = new Map(options.kinds.map((kind) => [kind.name, kind]));
  const receivers = new Map(options.kinds.map(({ name }) => [name, newReceiver(name, zone)]));
  const lastNonce = new Map<string, string>();
  const ownedOf = (kind: Kind): readonly Resource[] =>
    store.list(kind.name).filter((stored) => side.owns(kind, stored));
  const stock = stockStore({
    config: kinds.get("Config"),
    clock,
    hasSomething: options.kinds.some((kind) => ownedOf(kind).length > 0),
    onReady: () => void applyNext(),
  });
  const queue: (() => Promise<void>)[] = [];
  /** Of a revision of which more is to come. */
  let gathered: DeltaDiscoveryResponse[] = [];
  let gatheredBytes = 0;
  /** Of all that is not applied yet. */
  let waitingBytes = 0;
  /** Kinds of which nothing has come yet. */
  const unheard = new Set(kinds.keys());
  let isOver = false;
  let isApplying = false;
  let cancelReturning: (() => void) | undefined;

  function send(request: Reply): void {
    if (!isOver)
      options.stream.send([toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request))]);
  }

  function answer({ receiver, nonce }: Pick<Taken, "receiver" | "nonce">, refusal: string | undefined): void {
    if (refusal !== undefined) {
      options.log.warn({ peer, kind: receiver.typeUrl, refusal }, "refused a part of what another control plane sent");
    }
    lastNonce.set(receiver.typeUrl, nonce);
    send(replyOf(receiver, nonce, refusal));
  }

  /** `undefined`: refused as a whole, and answered. */
  function take(response: DeltaDiscoveryResponse, sender: Position | undefined): Taken | undefined {
    const { typeUrl, nonce } = response;
    const kind = kinds.get(typeUrl);
    const receiver = receivers.get(typeUrl);
    if (!kind || !receiver) {
      const what = typeUrl === "" ? "a response without a type" : typeUrl;
      const why = `${what} was not asked for`;
      options.onRefused?.("attempt", { verb: "write", what: { kind: typeUrl }, why });
      answer({ receiver: newReceiver(typeUrl, zone), nonce }, why);
      return undefined;
    }
    const resources = response.resources.map(({ name, version, resource }) => {
      const decoded = decodeResource(kind, resource?.value ?? new Uint8Array(), side.amend);
      return {
        name,
        resource: { ...decoded.resource, sent: { version, opening: sender?.opening ?? "" } },
        issues: issuesOf(decoded),
      };
    });
    const absent = response.resourceErrors.flatMap(({ resourceName }) => resourceName?.name ?? []);
    const isTold = saidIn(response.systemVersionInfo) !== undefined;
    const { next, apply, reply } = receive(receiver, {
      nonce,
      resources,
      removed: response.removedResources,
      ...(isTold && { absent }),
    });
    receivers.set(typeUrl, next);
    unheard.delete(typeUrl);
    return {
      kind,
      apply,
      receiver: next,
      nonce,
      refusal: reply.errorDetail?.message,
      names: [...resources.map(({ name }) => name), ...response.removedResources, ...absent],
      refused: new Map(
        resources.flatMap(({ name, issues }) => (issues.length > 0 ? [[name, describeIssues(issues)]] : [])),
      ),
    };
  }

  function issuesOf({ resource, issues }: Decoded): readonly Issue[] {
    if (issues.length > 0) return issues;
    try {
      const foreign = side.foreign(resource);
      return foreign.length > 0 ? foreign : options.validate(resource);
    } catch (error) {
      // A check that fails over one object must not end the stream, to fail over the same one on the next.
      return [{ path: "", message: `cannot be checked (${error instanceof Error ? error.message : String(error)})` }];
    }
  }

  async function applyNext(): Promise<void> {
    if (isApplying || !stock.isReady()) return;
    isApplying = true;
    try {
      for (let work = queue.shift(); work && !isOver; work = queue.shift()) await work();
    } catch (error) {
      if (!isOver) options.onFailure(error);
    } finally {
      isApplying = false;
    }
  }

  async function apply(responses: readonly DeltaDiscoveryResponse[]): Promise<void> {
    const isFirst = unheard.size > 0;
    const said = saidIn(responses.at(-1)?.systemVersionInfo ?? "");
    const sender = said ? said.position : stock.position();
    const taken = responses.flatMap((response) => take(response, sender) ?? []);
    const outcomes = await retried(() => written(taken, sender, said?.resumed ?? false));
    for (const [i, one] of taken.entries()) {
      const conflicts = outcomes[i]?.conflicts ?? new Map<string, string>();
      const refused = new Map([...one.refused, ...conflicts]);
      const news = options.refused.answered(one.kind.name, { isFirst: one.apply.isInitial, names: one.names, refused });
      for (const { name, why } of news)
        options.onRefused?.("news", { verb: "write", what: idOfWireName(one.kind, name), why });
      for (const name of outcomes[i]?.foreign ?? [])
        options.onRefused?.("attempt", {
          verb: "delete",
          what: idOfWireName(one.kind, name),
          why: "it is not the zone's",
        });
      const reasons = said ? [refusalText(refused)] : [one.refusal ?? "", ...conflicts.values()];
      const refusal = reasons.filter(Boolean).join("\n") || undefined;
      answer(one, refusal);
      options.onTaken?.(one.kind.name, refusal);
    }
    if (isFirst && unheard.size === 0) options.onComplete?.();
    if (said) options.onApplied?.(`${said.position.store}/${said.position.revision}`);
  }

  /** All in one transaction, with where the link stands then. */
  async function written(
    taken: readonly Taken[],
    sender: Position | undefined,
    resumed: boolean,
  ): Promise<readonly Outcome[]> {
    const link = linkTo(peer, store);
    const standing = standingOf(link.cursor, sender, resumed);
    const outcomes = taken.map(({ kind, apply }) => outcomeOf(kind, apply, side, store, standing));
    const next = afterApplied(link, {
      sender,
      isWhole: unheard.size === 0,
      kinds: taken.map(({ kind, apply }, i) => ({ kind: kind.name, ...outcomes[i]!, isInitial: apply.isInitial })),
      nowMs: clock.now(),
    });
    const edits = lastOfEach(outcomes.flatMap(({ edits }) => edits));
    const isNews = edits.length > 0 || !isSameLink(link, next);
    if (isNews) await store.write([...edits, linkEdit(peer, store, next)]);
    tellHeld(link, next);
    return outcomes;
  }

  function tellHeld(before: LinkState, after: LinkState): void {
    if (after.held.length > 0 && before.held.length === 0)
      options.log.warn(
        { peer, held: after.held.length, why: after.held[0]?.why },
        "the link is held: what would be removed for its absence waits; `kodiak get zones` shows what and why",
      );
    if (after.held.length === 0 && before.held.length > 0)
      options.log.info({ peer }, "the link is no longer held: all that waited has come back");
  }

  /** Of a stock peer. What it has not answered yet may still be there. */
  async function releaseReturning(): Promise<void> {
    await release(peer, side, store, ({ kind, why }) => why === "returning" && !unheard.has(kind));
  }

  return {
    subscribe() {
      if (isOver) return;
      const { cursor } = linkTo(peer, store);
      for (const kind of kinds.values()) {
        const has = new Map(
          ownedOf(kind).map((stored) => [wireNameOf(stored), stored.sent?.version ?? unknownVersion]),
        );
        const metadata = metadataOf(options.self, resumeMetadata({ cursor, has }));
        send(subscribeRequestOf(receivers.get(kind.name)!, metadata));
      }
      cancelReturning = clock.alarm(clock.now() + returningMs, () => {
        queue.push(releaseReturning);
        void applyNext();
      });
    },
    received(message) {
      if (isOver) return;
      try {
        const response = messageIn(DeltaDiscoveryResponseSchema, message);
        const said = saidIn(response.systemVersionInfo);
        if (!said) stock.received(response);
        gathered.push(response);
        gatheredBytes += message.length;
        waitingBytes += message.length;
        if (waitingBytes > mostWaitingBytes || queue.length === mostWaiting) throw tooEager;
        if (said?.more && gathered.length < mostWaiting) return;
        const [together, bytes] = [gathered, gatheredBytes];
        queue.push(async () => {
          await apply(together);
          waitingBytes -= bytes;
        });
        gathered = [];
        gatheredBytes = 0;
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
      cancelReturning?.();
      stock.ended();
    },
  };
}

/** A response that comes twice counts once: each edit says what the store must have for it, and two would exclude each other. */
const lastOfEach = (edits: readonly ResourceEdit[]): readonly ResourceEdit[] => [
  ...new Map(edits.map((edit) => [describeId(edit.kind === "put" ? edit.resource : edit.id), edit])).values(),
];

/** A later revision alone is no reason to write. */
const isSameLink = (before: LinkState, after: LinkState): boolean =>
  isSameOpening(before.cursor, after.cursor) &&
  isSameOpening(before.against?.sender, after.against?.sender) &&
  isEqual(before.held, after.held);
const isSameOpening = (a: Position | undefined, b: Position | undefined): boolean =>
  a?.store === b?.store && a?.opening === b?.opening;

/** The time of a reconnect. */
const returningMs = 30_000;
/** A sender waits for the answer of a kind before it sends more of it. */
const mostWaiting = 1_000;
/** A revision comes in parts, and as a whole at first: room for some 50,000 proxies. As objects it is several times as much. */
const mostWaitingBytes = 128 * 1024 * 1024;
const tooEager = new GrpcError({
  code: grpcCode.resourceExhausted,
  message: `more than ${mostWaiting} responses, or ${mostWaitingBytes} bytes, came without waiting for an answer`,
});
