import assert from "node:assert/strict";
import { test } from "node:test";
import { whyNotJson } from "#lib/json.ts";

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
