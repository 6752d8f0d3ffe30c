import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJson, whyNotJson } from "#lib/json.ts";

test("why a text is not JSON is said without any of it", () => {
  for (const wrong of [
    "hunter2",
    '{"a":hunter2}',
    `{"a":"hunter2${"-".repeat(50)}"x}`,
    '{"a":"hunter2',
    '["hunter2" "',
    'hunter2\n"',
    "",
  ])
    assert.throws(
      () => JSON.parse(wrong),
      (error) => {
        const why = whyNotJson(error);
        assert.match(why, /JSON/);
        assert.equal(/hunter/.test(why), false, why);
        return true;
      },
    );
});

test("JSON that is nested too deep to be gone through is refused as it is read", () => {
  const nested = (levels: number): string => `${'{"a":['.repeat(levels / 2)}1${"]}".repeat(levels / 2)}`;
  assert.ok(parseJson(nested(100)));
  for (const levels of [102, 100_000])
    assert.throws(() => parseJson(nested(levels)), /^SyntaxError: nested more than 100 deep$/);
});
