// Against RE2 itself, in Envoy, expressions are tried in test/validate.

import assert from "node:assert/strict";
import { test } from "node:test";
import { regexMistake } from "#policies/regex.ts";

const taken = [
  ...[
    "/api/v[0-9]+(/.*)?",
    "[\\w-.]+",
    "a{2,3}?",
    "a{,2}",
    "x{",
    "]}",
    "(?i)abc",
    "(?i:a)(?P<id>\\d+)",
    "\\x{41}\\.\\-\\ ",
  ],
  ...[
    "[]a]",
    "[^]-a]",
    "[a-]",
    "[[:alpha:]_]",
    "[\\]\\d]",
    "\\p{L}\\PN[\\p{Greek}]",
    "^$|\\b",
    "(a|)*",
    "((a{10}){10}){10}",
    "💥",
  ],
];
for (const text of taken) test(`RE2 takes ${text}`, () => assert.equal(regexMistake(text), undefined));

const refused: readonly (readonly [text: string, mistake: string])[] = [
  ["", "it is empty"],
  ["(a", "missing closing ): (a"],
  ["*a", "missing argument to repetition operator: *"],
  ["a**", "invalid nested repetition operator: **"],
  ["a{3,2}", "invalid repeat count: {3,2}"],
  ["((a{20}){10}b){10}", "invalid repeat count: {10}"],
  ["(?:\\pL.){1000}", "it is too large, with all its counts written out"],
  ["[^a\\x{400}\\x{600}\\x{10500}]{1000}".repeat(29), "it is too large, with all its counts written out"],
  ["[z-a]", "invalid character class range: z-a"],
  ["[", "missing closing ]: ["],
  ["a(?!b)", "invalid or unsupported Perl syntax: (?!"],
  ["(a)\\1", "invalid escape sequence: \\1"],
  ["\\p{Foo}", "invalid character class range: \\p{Foo}"],
  ["\\p{LC}", "invalid character class range: \\p{LC}"],
  ["a\\", "trailing backslash at end of expression"],
];
for (const [text, mistake] of refused)
  test(`${text || "nothing"}: ${mistake}`, () => assert.equal(regexMistake(text), mistake));
