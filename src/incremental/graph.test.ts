import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Collection, Graph } from "#incremental/collection.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import { plainGraph } from "#incremental/plain.ts";

interface Workload {
  readonly app: string;
  readonly mesh: string;
  readonly port: number;
}

/** A small pipeline with every kind of step: sources, groups, a union, reads by key, a coarse read. */
function pipeline(graph: Graph) {
  const workloads = graph.source<Workload>("workloads");
  const limits = graph.source<number>("limits");
  const policies = graph.source<{ readonly mesh: string; readonly ms: number }>("policies");
  const byApp = graph.group("by app", workloads, (w) => [[`${w.mesh}/${w.app}`, w.port] as const]);
  const byMesh = graph.group("policies by mesh", policies, (p) => [[p.mesh, p.ms] as const]);
  const late = graph.source<Workload>("late workloads");
  const known = graph.union("known workloads", workloads, late);
  const services = graph.derive("services", byApp, (ports, read, key) => ({
    ports: [...ports.values()].sort((a, b) => a - b).slice(0, read.one(limits, key) ?? 2),
  }));
  const configs = graph.derive("configs", workloads, (w, read) => {
    const next = read.one(services, `${w.mesh}/a${(w.port % 3) + 1}`);
    const timeouts = [...(read.one(byMesh, w.mesh)?.values() ?? [])].sort((a, b) => a - b);
    return next && { to: next.ports, timeouts };
  });
  const totals = graph.derive("totals", services, (service, read) => service.ports.length + read.all(limits).size);
  const ports = graph.derive("ports", known, ({ app, port }) => `${app} ${port}`);
  return { sources: { workloads, late, limits, policies }, derived: [services, configs, totals, ports] as const };
}

const parts = [0, 1, 2, 3] as const;
const entries = (collection: Collection<unknown>) =>
  [...collection.keys()].sort().map((key) => [key, collection.get(key)] as const);

const name = fc.integer({ min: 1, max: 6 }).map((n) => `x${n}`);
const mesh = fc.constantFrom("m1", "m2", "m3");
const app = fc.integer({ min: 1, max: 3 }).map((n) => `a${n}`);
const workload = fc.option(fc.record({ app, mesh, port: fc.nat(9) }), { nil: undefined });
const change = fc.oneof(
  fc.record({ source: fc.constant("workloads" as const), key: name, value: workload }),
  fc.record({ source: fc.constant("late" as const), key: name, value: workload }),
  fc.record({
    source: fc.constant("limits" as const),
    key: fc.tuple(mesh, app).map(([m, a]) => `${m}/${a}`),
    value: fc.option(fc.nat(4), { nil: undefined }),
  }),
  fc.record({
    source: fc.constant("policies" as const),
    key: name,
    value: fc.option(fc.record({ mesh, ms: fc.nat(5) }), { nil: undefined }),
  }),
);

const build = (graph: Graph) => ({ graph, parts: pipeline(graph) });

type Generated<A> = A extends fc.Arbitrary<infer T> ? T : never;

function apply(sources: ReturnType<typeof pipeline>["sources"], c: Generated<typeof change>): void {
  if (c.source === "workloads") sources.workloads.set(c.key, c.value);
  else if (c.source === "late") sources.late.set(c.key, c.value);
  else if (c.source === "limits") sources.limits.set(c.key, c.value);
  else sources.policies.set(c.key, c.value);
}

test("after any history, incremental equals from scratch, and so does what it says has changed", () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(change, { minLength: 1, maxLength: 4 }), { minLength: 50, maxLength: 60 }),
      (history) => {
        const fast = build(incrementalGraph());
        const slow = build(plainGraph());
        for (const batch of history) {
          for (const c of batch) {
            apply(fast.parts.sources, c);
            apply(slow.parts.sources, c);
          }
          const [a, b] = [fast.graph.settle(), slow.graph.settle()];
          for (const i of parts) {
            assert.deepEqual(entries(fast.parts.derived[i]), entries(slow.parts.derived[i]));
            assert.deepEqual(
              [...(a.get(fast.parts.derived[i]) ?? [])].sort(),
              [...(b.get(slow.parts.derived[i]) ?? [])].sort(),
            );
          }
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test("one change recomputes the keys that read it and no others", () => {
  const { graph, parts } = build(incrementalGraph());
  for (let i = 0; i < 200; i++) parts.sources.workloads.set(`w${i}`, { app: `a${i % 50}`, mesh: "m1", port: i });
  graph.settle();
  const before = new Map(graph.counts.recomputed);
  parts.sources.limits.set("m1/a7", 1);
  graph.settle();
  const since = (name: string) => (graph.counts.recomputed.get(name) ?? 0) - (before.get(name) ?? 0);
  assert.equal(since("by app"), 0);
  assert.equal(since("services"), 1);
  assert.equal(since("configs"), 0);
});

test("an equal result stops there and keeps its identity", () => {
  const { graph, parts } = build(incrementalGraph());
  parts.sources.workloads.set("w1", { app: "a1", mesh: "m1", port: 1 });
  graph.settle();
  const service = parts.derived[0].get("m1/a1");
  parts.sources.limits.set("m1/a1", 2);
  const changes = graph.settle();
  assert.equal(parts.derived[0].get("m1/a1"), service);
  assert.equal(changes.has(parts.derived[0]), false);
});

test("a collection can't read one that was built later", () => {
  const graph = incrementalGraph();
  const a = graph.source<number>("a");
  const late: { collection?: Collection<number> } = {};
  const b = graph.derive("b", a, (_, read) => read.one(late.collection!, "k"));
  late.collection = b;
  a.set("k", 1);
  assert.throws(() => graph.settle(), /b can't read b/);
});
