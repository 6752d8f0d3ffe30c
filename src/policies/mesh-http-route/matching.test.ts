import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bySpecificity, routeName } from "#policies/mesh-http-route/matching.ts";
import type { RequestMatch } from "#policies/mesh-http-route/schema.ts";

const exact = (value: string): RequestMatch => ({ path: { type: "Exact", value } });
const prefix = (value: string): RequestMatch => ({ path: { type: "PathPrefix", value } });
const pattern = (value: string): RequestMatch => ({ path: { type: "RegularExpression", value } });
const header = (name: string) => ({ name, value: "x" });
const query = (name: string) => ({ type: "Exact" as const, name, value: "x" });

const rows: readonly { readonly rule: string; readonly first: RequestMatch; readonly second: RequestMatch }[] = [
  { rule: "an exact path before a prefix", first: exact("/a"), second: prefix("/a/longer") },
  { rule: "a longer prefix before a shorter", first: prefix("/a/b"), second: prefix("/a") },
  { rule: "a prefix before a pattern", first: prefix("/a"), second: pattern("/a/long.*") },
  { rule: "a longer pattern before a shorter", first: pattern("/a.*"), second: pattern("/.*") },
  { rule: "a pattern before no path", first: pattern("/.*"), second: { method: "GET" } },
  { rule: "what takes every request after all else", first: { headers: [header("a")] }, second: prefix("/") },
  { rule: "so that a pattern is tried", first: pattern("/x.*"), second: prefix("/") },
  { rule: "the path counts more than the method", first: exact("/a"), second: { ...prefix("/a"), method: "GET" } },
  { rule: "a method before none", first: { ...exact("/a"), method: "GET" }, second: exact("/a") },
  {
    rule: "the method counts more than headers",
    first: { ...exact("/a"), method: "GET" },
    second: { ...exact("/a"), headers: [header("a"), header("b")] },
  },
  {
    rule: "more headers before fewer",
    first: { ...exact("/a"), headers: [header("a"), header("b")] },
    second: { ...exact("/a"), headers: [header("a")] },
  },
  {
    rule: "headers count more than query parameters",
    first: { ...exact("/a"), headers: [header("a")] },
    second: { ...exact("/a"), queryParams: [query("a"), query("b")] },
  },
  {
    rule: "more query parameters before fewer",
    first: { ...exact("/a"), queryParams: [query("a")] },
    second: exact("/a"),
  },
];
for (const { rule, first, second } of rows)
  test(rule, () => {
    assert.deepEqual([second, first].sort(bySpecificity), [first, second]);
    assert.deepEqual([first, second].sort(bySpecificity), [first, second]);
  });

test("equally specific matches keep their order", () => {
  const matches = [exact("/b"), exact("/a"), exact("/c")];
  assert.deepEqual([...matches].sort(bySpecificity), matches);
});

test("it is an order: the result doesn't depend on where it began", () => {
  const matches = rows.flatMap(({ first, second }) => [first, second]);
  fc.assert(
    fc.property(fc.shuffledSubarray(matches, { minLength: 2 }), (some) => {
      const sorted = [...some].sort(bySpecificity);
      sorted.forEach((match, i) => {
        for (const later of sorted.slice(i + 1)) assert.ok(bySpecificity(match, later) <= 0);
      });
    }),
  );
});

const names: readonly { readonly name: string; readonly matches: readonly RequestMatch[] }[] = [
  { name: "9Zuf5Tg79OuZcQITwBbQykxAk2u4fRKrwYn3//AL4Yo=", matches: [prefix("/")] },
  { name: "KldmwZ+/l5tQEgy/2vn75jYPWeovQEMf2DhYYk/FCMI=", matches: [prefix("/v2")] },
  { name: "L15qA7mG7JSx5hYfGABzQ2U5sIoqGmVo78UqAaULFk8=", matches: [exact("/old")] },
  { name: "fjphGmt9voyjvkaOQM8SnNA1tZrqu5GU9bs1W5fhITE=", matches: [pattern("/x.*")] },
];
for (const { name, matches } of names)
  test(`a stock control plane's name of ${JSON.stringify(matches)}`, () => assert.equal(routeName(matches), name));

test("the name doesn't depend on the order of members", () => {
  const ordered: RequestMatch = { path: { value: "/a", type: "Exact" }, method: "GET" };
  const other: RequestMatch = { method: "GET", path: { type: "Exact", value: "/a" } };
  assert.equal(routeName([ordered]), routeName([other]));
});
