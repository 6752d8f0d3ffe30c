import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { JsonObject } from "#lib/json.ts";
import { mergeConf, mergeConfs } from "#policies/merge.ts";

const rows: readonly { readonly what: string; readonly confs: readonly JsonObject[]; readonly merged: JsonObject }[] = [
  { what: "members of both are joined", confs: [{ a: 1 }, { b: 2 }], merged: { a: 1, b: 2 } },
  { what: "the later value wins", confs: [{ a: 1 }, { a: 2 }], merged: { a: 2 } },
  {
    what: "objects are merged member by member",
    confs: [{ h: { a: 1, b: 1 } }, { h: { b: 2 } }],
    merged: { h: { a: 1, b: 2 } },
  },
  { what: "lists are replaced", confs: [{ l: [1, 2] }, { l: [3] }], merged: { l: [3] } },
  {
    what: "lists called append… are joined in order",
    confs: [{ appendX: [1] }, { appendX: [2] }],
    merged: { appendX: [1, 2] },
  },
  {
    what: "also inside objects",
    confs: [{ o: { appendX: [1] } }, { o: { appendX: [2] } }],
    merged: { o: { appendX: [1, 2] } },
  },
  { what: "what is undefined is absent", confs: [{ a: 1 }, { a: undefined }], merged: { a: 1 } },
  { what: "an empty object takes nothing away", confs: [{ h: { a: 1 } }, { h: {} }], merged: { h: { a: 1 } } },
  { what: "a value replaces an object", confs: [{ a: { b: 1 } }, { a: 2 }], merged: { a: 2 } },
];
for (const { what, confs, merged } of rows) test(what, () => assert.deepEqual(mergeConfs(confs), merged));

test("of no confs there is none", () => assert.equal(mergeConfs([]), undefined));

// Confs of one policy: a member has the same type wherever it occurs.
const scalar = fc.oneof(fc.integer(), fc.string(), fc.boolean());
const members = (inner: fc.Arbitrary<JsonObject>) =>
  fc.record(
    { a: scalar, list: fc.array(scalar), appendList: fc.array(scalar), inner },
    { requiredKeys: [], noNullPrototype: true },
  );
const conf: fc.Arbitrary<JsonObject> = members(members(fc.constant({})));

test("merging is associative", () => {
  fc.assert(
    fc.property(conf, conf, conf, (a, b, c) => {
      assert.deepEqual(mergeConf(mergeConf(a, b), c), mergeConf(a, mergeConf(b, c)));
    }),
  );
});

test("merging with nothing changes nothing, and changes neither side", () => {
  fc.assert(
    fc.property(conf, conf, (a, b) => {
      const [aBefore, bBefore] = [structuredClone(a), structuredClone(b)];
      assert.deepEqual(mergeConf(a, {}), a);
      assert.deepEqual(mergeConf({}, a), a);
      mergeConf(a, b);
      assert.deepEqual([a, b], [aBefore, bBefore]);
    }),
  );
});
