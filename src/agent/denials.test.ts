// How denials become lines: the first at once, repetitions as a count.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Denial } from "#agent/denial.ts";
import { tellDenials } from "#agent/denials.ts";
import type { Log } from "#host/log.ts";

const denial: Denial = {
  what: "request",
  verdict: "denied",
  why: "kri_mtp_default___backend_",
  caller: "spiffe://default/web",
  inboundPort: 8080,
  from: "10.0.0.1:4000",
  method: "GET",
  path: "/",
};

function told() {
  const lines: (readonly [level: string, fields: object, message: string])[] = [];
  const level = (name: string) => (fields: object, message: string) => void lines.push([name, fields, message]);
  const log: Log = {
    debug: level("debug"),
    info: level("info"),
    warn: level("warn"),
    error: level("error"),
    child: () => log,
  };
  const rings: (() => void)[] = [];
  const denials = tellDenials(
    (port) => (port === 8080 ? "backend" : undefined),
    log,
    (ms, ring) => {
      assert.equal(ms, 10_000);
      rings.push(ring);
    },
  );
  return { ...denials, lines, rings };
}

test("the first of its kind is told at once with caller, policy and place; repetitions once, as a number", () => {
  const { add, lines, rings } = told();
  for (let i = 0; i < 5; i++) add({ ...denial, path: `/${i}` });
  const { what: _, verdict: __, why, ...rest } = denial;
  const fields = { ...rest, service: "backend", policy: why };
  assert.deepEqual(lines, [["warn", { ...fields, path: "/0" }, "denied a request: by permission"]]);
  assert.equal(rings.length, 1);
  rings[0]?.();
  assert.deepEqual(lines.slice(1), [
    ["warn", { ...fields, path: "/4", repeated: 4 }, "denied a request: by permission"],
  ]);
  add(denial);
  assert.deepEqual([lines.length, rings.length], [3, 2]);
  rings[1]?.();
  assert.equal(lines.length, 3);
});

test("another caller, policy, verdict or inbound is another kind", () => {
  const { add, lines } = told();
  add(denial);
  add({ ...denial, caller: "spiffe://default/other" });
  add({ ...denial, why: "none" });
  add({ ...denial, inboundPort: 9090 });
  add({ ...denial, verdict: "shadow" });
  add({ what: "connection", verdict: "untrusted", why: "TLS_error", from: "10.0.0.1:4000" });
  assert.deepEqual(
    lines.map(([level, , message]) => `${level} ${message}`),
    [
      "warn denied a request: by permission",
      "warn denied a request: by permission",
      "warn denied a request: no MeshTrafficPermission allows it",
      "warn denied a request: by permission",
      "info let through a request that AllowWithShadowDeny would deny",
      "warn refused a connection: TLS failed",
    ],
  );
});

test("of more kinds than can be kept the rest is counted", () => {
  const { add, lines, rings } = told();
  for (let i = 0; i < 1_500; i++) add({ ...denial, inboundPort: i });
  assert.equal(lines.length, 1_000);
  rings[0]?.();
  assert.deepEqual(lines.slice(1_000), [["warn", { others: 500 }, "more was denied than could be told apart"]]);
});
