import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuditEntry } from "#host/audit-log.ts";
import { mostLinesAMinute, refusalRecord } from "#host/refusal-record.ts";

function rig() {
  const lines: AuditEntry[] = [];
  const clock = { nowMs: 0, now: () => clock.nowMs };
  const record = refusalRecord({ refused: async (entry) => void lines.push(entry) }, clock);
  return { lines, clock, ...record };
}
const minute = 60_000;
const entry = (proxy: string, port = 1, more: Partial<AuditEntry> = {}): AuditEntry => ({
  ...{ who: { proxy }, from: `127.0.0.1:${port}`, verb: "stream", what: { path: "/ads" }, why: "no token", ...more },
});

test("an attempt that is made again and again is a line an hour, which says how often it was", async () => {
  const { lines, clock, attempt } = rig();
  for (let times = 0; times < 3_600; times++) {
    clock.nowMs = times * 1_000;
    await attempt(entry("a", times));
  }
  assert.deepEqual(lines, [entry("a", 0)]);
  clock.nowMs = 60 * minute;
  await attempt(entry("a", 7));
  assert.deepEqual(lines.slice(1), [entry("a", 7, { repeated: 3_599 })]);
});

test("another caller, address, cause or thing is a line of its own", async () => {
  const { lines, attempt } = rig();
  const all = [
    entry("a"),
    entry("b"),
    entry("a", 1, { from: "127.0.0.2:1" }),
    entry("a", 1, { why: "expired" }),
    entry("a", 1, { verb: "bootstrap" }),
    entry("a", 1, { what: { path: "/bootstrap" } }),
    entry("a", 1, { who: { zone: "a" } }),
  ];
  for (const one of [...all, ...all]) await attempt(one);
  assert.deepEqual(lines, all);
});

test("whoever is somebody else each time fills neither disk nor memory, and it is said how much is missing", async () => {
  const { lines, clock, attempt, news } = rig();
  for (let i = 0; i < 10_000; i++) await (i % 2 === 0 ? attempt : news)(entry(`proxy-${i}`));
  assert.equal(lines.length, mostLinesAMinute);
  clock.nowMs = minute;
  // It has left no line yet.
  await attempt(entry("proxy-9998"));
  await attempt(entry("another"));
  assert.deepEqual(lines.slice(mostLinesAMinute), [
    entry("proxy-9998", 1, { leftOut: 10_000 - mostLinesAMinute }),
    entry("another"),
  ]);
  // What is long ago is forgotten.
  for (let i = 0; i < 2_000; i++) {
    clock.nowMs += minute / 100;
    await attempt(entry(`later-${i}`));
  }
  await attempt(entry("another"));
  assert.deepEqual(lines.at(-1), entry("another"));
});

test("what callers write is cut", async () => {
  const { lines, attempt, news } = rig();
  const long = "x".repeat(1_000_000);
  for (const note of [attempt, news])
    await note({ ...entry(long), what: { kind: "Dataplane", name: long }, why: long });
  for (const line of lines) assert.ok(JSON.stringify(line).length < 2_000);
});
