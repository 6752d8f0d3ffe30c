// The exchanges of a stock global with two stock zones (test/recorded/kds), replayed against both halves: the sender must
// send what the stock sender sent, byte for byte, when it has to send it; the receiver must answer what the stock one did.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { create, equals, fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import { framed, resourceIn } from "#discovery/frame.ts";
import { type Item, wantedOf } from "#discovery/item.ts";
import { newReceiver, type Received, type Receiver, receive } from "#discovery/receiver.ts";
import { eventsOf, type Request } from "#discovery/request.ts";
import { absorb, newSubscription, offer, type Push, refusalsOf, type Subscription } from "#discovery/subscription.ts";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  type Resource,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { KumaResourceSchema } from "#gen/kuma/mesh/v1alpha1/kds_pb.ts";
import { sha256Hex } from "#lib/hash.ts";
import type { Issue } from "#lib/issue.ts";

type Line = { readonly file: string; readonly key: string; readonly zone: string; readonly note: string } & (
  | { readonly request: DeltaDiscoveryRequest }
  | { readonly request: undefined; readonly response: DeltaDiscoveryResponse; readonly bytes: Uint8Array }
);

const folder = new URL("../../test/recorded/kds/", import.meta.url);
const lines: readonly Line[] = readdirSync(folder)
  .filter((file) => file.endsWith(".jsonl"))
  .sort()
  .flatMap((file) =>
    readFileSync(new URL(file, folder), "utf8")
      .trim()
      .split("\n")
      .map((text) => lineOf(file, text)),
  );

function lineOf(file: string, text: string): Line {
  const {
    zone,
    stream,
    note = "",
    request,
    response,
  } = JSON.parse(text) as Record<string, string> & { request?: JsonValue };
  const about = { file, zone: zone!, note };
  if (request) {
    const message = fromJson(DeltaDiscoveryRequestSchema, request);
    return { ...about, key: `${zone} ${stream} ${message.typeUrl}`, request: message };
  }
  const bytes = Buffer.from(response!, "base64");
  const message = fromBinary(DeltaDiscoveryResponseSchema, bytes);
  return { ...about, key: `${zone} ${stream} ${message.typeUrl}`, request: undefined, response: message, bytes };
}

test("a version is the lower-case hex SHA-256 of the KumaResource", () => {
  let compared = 0;
  for (const line of lines) {
    // Insights of proxies name hosts, which were renamed in the recording.
    if (line.request || line.note !== "" || /^(Dataplane|ZoneIngress)Insight$/.test(line.response.typeUrl)) continue;
    for (const { version, resource } of line.response.resources) {
      assert.equal(version, sha256Hex(resource!.value));
      compared++;
    }
  }
  assert.ok(compared > 100);
});

test("the sender sends what the stock sender sent", () => {
  const senders = new Map<string, Sender>();
  const extra: string[] = [];
  for (const line of lines) {
    const sender = senders.get(line.key) ?? new Sender();
    senders.set(line.key, sender);
    if (line.request) {
      sender.request(line.request);
      // We isolate what was refused, which the stock sender does not: the peer answers for each object as it did for all.
      for (let push = sender.unexpected; push; push = sender.unexpected) {
        extra.push(`${line.file} ${line.key}: ${push.upsert.map(({ name }) => name)}`);
        sender.request(answerTo(push, line.request));
      }
    } else {
      assert.deepEqual(sender.respond(line), line.bytes, `${line.file} ${line.key} ${line.response.nonce}`);
    }
  }
  assert.deepEqual(extra, [
    "08-nack-by-zone.jsonl zone-1 GlobalToZoneSync MeshTimeout: t-fdz944892fv4vfc2.default",
    "08-nack-by-zone.jsonl zone-1 GlobalToZoneSync MeshTimeout: t2-b5w674xx59cxvx68.default",
    "08-nack-by-zone.jsonl zone-2 GlobalToZoneSync MeshTimeout: t2-b5w674xx59cxvx68.default",
    "08-nack-by-zone.jsonl zone-2 GlobalToZoneSync MeshTimeout: t-fdz944892fv4vfc2.default",
  ]);
  const refused = [...senders].flatMap(([key, { state }]) => refusalsOf(state).map(({ name }) => `${key}: ${name}`));
  assert.deepEqual(refused, [], "what was refused has changed since");
});

test("the receiver answers as the stock receiver did", () => {
  const receivers = new Map<string, Receiver>();
  const initial: string[] = [];
  const due = new Map<string, DeltaDiscoveryRequest>();
  let answers = 0;
  for (const line of lines) {
    if (line.request) {
      if (line.request.responseNonce === "") continue;
      const reply = due.get(line.key)!;
      assert.ok(equals(DeltaDiscoveryRequestSchema, reply, line.request), describe(reply, line.request));
      answers++;
    } else {
      const receiver = receivers.get(line.key) ?? newReceiver(line.response.typeUrl, line.zone);
      const { nonce, resources, removedResources: removed } = line.response;
      const step = receive(receiver, { nonce, resources: resources.map(receivedOf), removed });
      if (step.apply.isInitial) initial.push(line.key);
      receivers.set(line.key, step.next);
      due.set(line.key, create(DeltaDiscoveryRequestSchema, step.reply));
    }
  }
  assert.equal(initial.length, 2 * (45 + 31), "one initial response for each type of each stream");
  assert.ok(answers > 250);
});

test("both halves together: the receiver's store follows the sender's", () => {
  const senders = new Map<string, Sender>();
  const stores = new Map<string, Map<string, string>>();
  for (const line of lines) {
    const sender = senders.get(line.key) ?? new Sender();
    senders.set(line.key, sender);
    if (line.request) {
      sender.request(line.request);
      for (let push = sender.unexpected; push; push = sender.unexpected) sender.request(answerTo(push, line.request));
      continue;
    }
    sender.respond(line);
    const store = stores.get(line.key) ?? new Map<string, string>();
    stores.set(line.key, store);
    const { nonce, resources, removedResources: removed } = line.response;
    const { apply } = receive(newReceiver("", ""), { nonce, resources: resources.map(receivedOf), removed });
    for (const { name, resource } of apply.upsert) store.set(name, resource.version);
    for (const name of apply.remove) store.delete(name);
  }
  for (const [key, { wanted }] of senders) {
    const versions = new Map([...wanted].map(([name, { version }]) => [name, version]));
    assert.deepEqual(stores.get(key), versions, key);
  }
});

/** Our sending half in the place of the stock one, for one type of one stream. */
class Sender {
  state: Subscription = newSubscription({ answersMissing: false });
  wanted: ReadonlyMap<string, Item> = new Map();
  /** Sent by us where the recording has nothing. */
  unexpected: Push | undefined;

  request(request: Request): void {
    this.unexpected = this.#step(eventsOf(request).reduce(absorb, this.state), "extra");
  }

  /** What is sent when the wanted set changes as the recorded response says. */
  respond({ response }: Line & { request: undefined }): Uint8Array {
    const wanted = new Map(this.wanted);
    for (const name of response.removedResources) wanted.delete(name);
    for (const resource of response.resources) wanted.set(resource.name, itemOf(resource));
    this.wanted = wanted;
    const names = [...response.resources.map(({ name }) => name), ...response.removedResources];
    const push = this.#step(absorb(this.state, { kind: "changed", wanted: wantedOf(wanted), names }), response.nonce);
    assert.ok(push, "nothing sent");
    const controlPlane = response.controlPlane!.identifier;
    return Buffer.concat(framed({ ...push, typeUrl: response.typeUrl, controlPlane }));
  }

  #step(state: Subscription, nonce: string): Push | undefined {
    const { next, send } = offer(state, () => nonce);
    this.state = next;
    return send;
  }
}

const itemOf = (resource: Resource): Item => ({
  name: resource.name,
  version: resource.version,
  bytes: toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, { resources: [resource] })),
});

function answerTo({ nonce, upsert }: Push, { errorDetail }: DeltaDiscoveryRequest): Request {
  const isInvalid = upsert.some((item) => issuesOf(resourceIn(item)!).length > 0);
  const answer = create(DeltaDiscoveryRequestSchema, { responseNonce: nonce });
  return isInvalid && errorDetail ? { ...answer, errorDetail } : answer;
}

const receivedOf = (resource: Resource): Received<Resource> => ({
  name: resource.name,
  resource,
  issues: issuesOf(resource),
});

/** The one rule that the altered responses break. */
function issuesOf({ resource }: Resource): readonly Issue[] {
  const { spec } = fromBinary(KumaResourceSchema, resource!.value);
  const text = spec?.typeUrl === "" ? new TextDecoder().decode(spec.value) : "{}";
  const { to = [] } = JSON.parse(text) as { to?: readonly { default?: { connectionTimeout?: string } }[] };
  return to.flatMap((each, i) =>
    each.default?.connectionTimeout?.startsWith("-")
      ? {
          path: `spec.to[${i}].default.connectionTimeout`,
          message: "must be greater than zero when defined",
        }
      : [],
  );
}

const describe = (ours: DeltaDiscoveryRequest, theirs: DeltaDiscoveryRequest): string =>
  [ours, theirs].map((request) => JSON.stringify(toJson(DeltaDiscoveryRequestSchema, request))).join(" instead of ");
