import assert from "node:assert/strict";
import { test } from "node:test";
import { newReceiver, type Received, receive, replyOf, subscribeRequestOf } from "#discovery/receiver.ts";

const valid = (name: string): Received<string> => ({ name, resource: name, issues: [] });
const invalid = (name: string, ...paths: string[]): Received<string> => ({
  name,
  resource: name,
  issues: paths.map((path) => ({ path, message: "must be set" })),
});
const receiver = newReceiver("MeshTimeout", "zone-1");
const later = receive(receiver, { nonce: "1", resources: [], removed: [] }).next;

test("everything is subscribed to, with the node", () => {
  assert.deepEqual(subscribeRequestOf(receiver, { version: {} }), {
    typeUrl: "MeshTimeout",
    resourceNamesSubscribe: ["*"],
    node: { id: "zone-1", metadata: { version: {} } },
  });
});

test("the first response is everything there is, later ones are differences", () => {
  const first = receive(receiver, { nonce: "1", resources: [valid("a.m")], removed: [] });
  assert.deepEqual(first.apply, { isInitial: true, upsert: [valid("a.m")], remove: [], absent: "rest", skipped: [] });
  assert.deepEqual(first.reply, { typeUrl: "MeshTimeout", responseNonce: "1", node: { id: "zone-1" } });
  const second = receive(first.next, { nonce: "2", resources: [], removed: ["a.m"] });
  assert.deepEqual(second.apply, { isInitial: false, upsert: [], remove: ["a.m"], absent: [], skipped: [] });
});

test("a sender that tells what it lacks is taken at its word, with the first response as with later ones", () => {
  const told = { nonce: "1", resources: [valid("a.m")], removed: ["b.m"], absent: ["a.m", "c.m"] };
  const first = receive(receiver, told);
  assert.deepEqual([first.apply.remove, first.apply.absent], [["b.m"], ["c.m"]]);
  assert.deepEqual(receive(receiver, { ...told, absent: [] }).apply.absent, []);
  assert.deepEqual(receive(first.next, { ...told, nonce: "2" }).apply.absent, ["c.m"]);
});

test("a refused first response was the first all the same", () => {
  const { next } = receive(receiver, { nonce: "1", resources: [invalid("a.m", "spec")], removed: [] });
  assert.equal(receive(next, { nonce: "2", resources: [], removed: [] }).apply.isInitial, false);
});

test("a name both removed and there is updated, also where the new version is invalid", () => {
  const { apply } = receive(later, {
    nonce: "2",
    resources: [valid("a.m"), invalid("b.m", "spec")],
    removed: ["a.m", "b.m", "c.m"],
  });
  assert.deepEqual(apply.remove, ["c.m"]);
});

test("invalid resources are skipped, valid ones beside them applied, and the response refused with all reasons", () => {
  const { apply, reply } = receive(later, {
    nonce: "7",
    resources: [invalid("a.m", "spec.to", "spec.from"), valid("b.m"), invalid("c.m", "spec.x")],
    removed: [],
  });
  assert.deepEqual(apply, {
    isInitial: false,
    upsert: [valid("b.m")],
    remove: [],
    absent: [],
    skipped: ["a.m", "c.m"],
  });
  assert.deepEqual(reply, {
    typeUrl: "MeshTimeout",
    responseNonce: "7",
    node: { id: "zone-1" },
    resourceNamesSubscribe: ["*"],
    errorDetail: { message: "spec.to: must be set; spec.from: must be set\nspec.x: must be set" },
  });
});

test("a conflict that the store finds is a refusal, too", () => {
  const text = 'user error\nresource already exists: type="Secret" name="mine" mesh="default"';
  assert.equal(replyOf(later, "2", text).errorDetail?.message, text);
});
