import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { isWithin, networkIn } from "#lib/network.ts";

test("addresses are what Node takes for addresses", () => {
  const texts = fc.oneof(fc.ipV4(), fc.ipV6(), fc.ipV4Extended(), fc.stringMatching(/^[0-9a-f:.]{1,20}$/));
  fc.assert(
    fc.property(texts, (text) => {
      assert.equal(networkIn(text) !== undefined, isIP(text) !== 0, text);
    }),
  );
});

test("networks hold what begins as they do", () => {
  const within = (inner: string, outer: string): boolean => isWithin(networkIn(inner)!, networkIn(outer)!);
  assert.ok(within("10.2.3.4", "10.2.0.0/16"));
  assert.ok(within("10.2.128.0/17", "10.2.0.0/16"));
  assert.ok(within("10.2.0.0/16", "10.2.0.0/16"));
  assert.ok(within("10.2.3.4", "0.0.0.0/0"));
  assert.ok(within("fd00::1", "fd00::/8"));
  assert.ok(!within("10.3.0.0", "10.2.0.0/16"));
  assert.ok(!within("10.2.0.0/15", "10.2.0.0/16"));
  assert.ok(!within("::a00:1", "10.0.0.0/8"));
  assert.deepEqual(networkIn("10.2.3.4/16")?.bits, networkIn("10.2.0.0/16")?.bits);
  assert.deepEqual(networkIn("fd00:0::1")?.bits, networkIn("fd00::0.0.0.1")?.bits);
  for (const wrong of ["10.0.0.0/33", "fd00::/129", "10.0.0.0/", "a/8", "", "/8", "1.2.3.4/8/8"])
    assert.equal(networkIn(wrong), undefined, wrong);
});
