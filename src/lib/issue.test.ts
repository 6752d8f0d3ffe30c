import assert from "node:assert/strict";
import { test } from "node:test";
import { describeIssues } from "#lib/issue.ts";

test("of many issues the first are told, and how many there are", () => {
  const text = describeIssues(
    Array.from({ length: 100_000 }, (_, i) => ({ path: `a[${i}]`, message: "must be a text" })),
  );
  assert.match(text, /^a\[0\]: must be a text; a\[1\]: /);
  assert.match(text, /; a\[49\]: must be a text; and 99950 more$/);
});
