// Against RE2 itself, in Envoy, expressions are tried in test/validate.

import assert from "node:assert/strict";
import { test } from "node:test";
import { regexMistake } from "#policies/mesh-http-route/regex.ts";

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
  ["(a", "a ( has no )"],
  ["a)", "a ) has no ("],
  ["*a", "nothing stands before * that it could repeat"],
  ["a|+", "nothing stands before + that it could repeat"],
  ["a**", "nothing stands before * that it could repeat"],
  ["a{2}{3}", "nothing stands before {3} that it could repeat"],
  ["a{3,2}", "{3,2} is less than it begins with"],
  ["a{1001}", "{1001} makes more than 1000 copies"],
  ["((a{20}){10}b){10}", "{10} makes more than 1000 copies"],
  ["(?:\\pL.){100}", "it is too large, with all its counts written out"],
  ["[z-a]", "there is no range z-a"],
  ["[\\r-\\n]", "there is no range \\r-\\n"],
  ["[a-\\d]", "there is no range a-\\d"],
  ["[", "RE2 doesn't know ["],
  ["[]", "RE2 doesn't know []"],
  ["[[:letter:]]", "RE2 doesn't know [[:le"],
  ["a(?!b)", "RE2 doesn't know (?!b)"],
  ["(?<=a)", "RE2 doesn't know (?<=a"],
  ["(a)\\1", "RE2 doesn't know \\1"],
  ["\\u0041", "RE2 doesn't know \\u004"],
  ["\\p{Foo}", "RE2 doesn't know \\p{Fo"],
  ["\\x{110000}", "RE2 doesn't know \\x{11"],
  ["a\\", "RE2 doesn't know \\"],
];
for (const [text, mistake] of refused)
  test(`${text || "nothing"}: ${mistake}`, () => assert.equal(regexMistake(text), mistake));
