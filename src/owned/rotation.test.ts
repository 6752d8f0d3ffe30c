import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { DataplaneInsightJson } from "#gen/kuma/mesh/v1alpha1/dataplane_insight_pb.ts";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import { needsOf, openGates, type ProxyTrust, proxyTrust, rotationOf } from "#owned/rotation.ts";
import type { Labels, Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import { authoritySecretNames, issuingBackendOf, issuingLabels } from "#topology/mesh.ts";

const resource = <Spec>(kind: string, name: string, spec: Spec, labels: Labels = {}): Resource<Spec> => ({
  ...{ kind, mesh: kind === "Mesh" || kind === "Zone" ? "" : "m", name, labels, spec },
  ...{ creationTime: zeroTime, modificationTime: zeroTime },
});
const backends = (...names: string[]) => names.map((name) => ({ name, type: "builtin" }));
const mesh = (enabledBackend: string | undefined, names: readonly string[], labels: Labels = {}) =>
  resource<MeshJson>(
    "Mesh",
    "m",
    { mtls: { ...(enabledBackend && { enabledBackend }), backends: backends(...names) } },
    labels,
  );
const issuing = (backend: string): Labels => ({ "kodiak.io/issuing-backend": backend });
const connected = [{ id: "1", connectTime: "2026-01-01T00:00:00Z" }];
const insight = (holds: string | undefined, ...trusts: string[]) =>
  resource<DataplaneInsightJson>("DataplaneInsight", "p", {
    subscriptions: connected,
    mTLS: { ...(holds !== undefined && { issuedBackend: holds }), supportedBackends: trusts },
  });
const dataplane = resource<DataplaneJson>("Dataplane", "p", { networking: {} }, { "kuma.io/zone": "zone-a" });
const proxy = (holds: string | undefined, ...trusts: string[]): ProxyTrust => {
  const trust = proxyTrust(dataplane, insight(holds, ...trusts));
  assert.ok(trust);
  return trust;
};
const awayB = [{ zone: "zone-b", since: undefined }];

describe("who issues", () => {
  const labelsAfter = (before: Resource<MeshJson> | undefined, after: Resource<MeshJson>) =>
    issuingLabels(before, after)["kodiak.io/issuing-backend"];
  const ab = ["a", "b"];
  const cases: readonly [string, Resource<MeshJson> | undefined, Resource<MeshJson>, string | undefined][] = [
    ["another is enabled: the one before", mesh("a", ab), mesh("b", ab), "a"],
    ["the same file again: nothing new", mesh("b", ab, issuing("a")), mesh("b", ab), "a"],
    ["a third is enabled meanwhile: still the first", mesh("b", ab, issuing("a")), mesh("c", [...ab, "c"]), "a"],
    ["back to the first", mesh("b", ab, issuing("a")), mesh("a", ab), undefined],
    ["what a user's file says counts for nothing", mesh("b", ab), mesh("b", ab, issuing("a")), undefined],
    ["the one before is off the list", mesh("a", ab), mesh("b", ["b"]), undefined],
    ["a mesh gets mTLS", mesh(undefined, []), mesh("a", ab), undefined],
    ["a new mesh", undefined, mesh("a", ab), undefined],
    ["a mesh gives mTLS up", mesh("a", ab), mesh(undefined, ab), undefined],
  ];
  for (const [what, before, after, expected] of cases)
    it(what, () => assert.equal(labelsAfter(before, after), expected));

  it("also one that is called what no label may say", () => {
    const odd = "first authority, from 2024";
    const after = mesh("b", [odd, "b"]);
    const labels = issuingLabels(mesh(odd, [odd, "b"]), after);
    assert.equal(issuingBackendOf({ ...after, labels }), odd);
    assert.match(labels["kodiak.io/issuing-backend"] ?? "", /^[0-9a-f]{32}$/);
  });
});

describe("steps", () => {
  const step = (of: Resource<MeshJson>, proxies: readonly ProxyTrust[], away = [] as typeof awayB) =>
    rotationOf(of, proxies, away)?.step;
  it("follow from what proxies trust and hold, and from who is away", () => {
    const begun = mesh("b", ["a", "b"], issuing("a"));
    const issues = mesh("b", ["a", "b"]);
    assert.equal(step(begun, [proxy("a", "a")]), "distribute");
    assert.equal(step(begun, [proxy("a", "a", "b")]), "distribute", "until the label is gone");
    assert.equal(step(issues, [proxy("a", "a", "b"), proxy("b", "a", "b")]), "issue");
    assert.equal(step(issues, [proxy("b", "a", "b"), proxy(undefined, "a", "b")]), "retire");
    assert.equal(step(issues, [proxy("b", "a", "b")], awayB), "issue");
    assert.equal(step(mesh("b", ["b"]), [proxy("b", "b")]), "none");
    assert.equal(step(mesh("b", ["b"]), [proxy("b", "b")], awayB), "none");
    assert.equal(step(mesh(undefined, ["b"]), []), undefined);
    assert.deepEqual(rotationOf(begun, [proxy("a", "a"), proxy("a", "a", "b")], [])?.missing, [proxy("a", "a")]);
  });

  it("a backend must stay while somebody needs it, with a clause for each", () => {
    const begun = mesh("b", ["a", "b"], issuing("a"));
    assert.deepEqual(needsOf("a", begun, [proxy("a", "a")], awayB), [
      "it issues certificates",
      "proxies have certificates of it: p in zone-a",
      "proxies of zones that are away may have some: zone-b",
    ]);
    assert.deepEqual(needsOf("a", mesh("b", ["a", "b"]), [proxy("b", "a", "b")], []), []);
    assert.deepEqual(needsOf("a", mesh("a", ["a"]), [], []), ["it issues certificates"], "also where nobody is");
    const many = Array.from({ length: 7 }, () => proxy("a", "a"));
    assert.match(needsOf("a", mesh("b", ["a", "b"]), many, []).join(), /(p in zone-a, ){4}p in zone-a and 2 more$/);
  });
});

/** Global's view, the zones' copies of the Mesh, and Envoys: whatever happens in whatever order. */
function model(zoneCount: number) {
  interface Envoy {
    trusts: readonly string[];
    holds: string;
  }
  const graph = incrementalGraph();
  const meshes = graph.source<Resource<MeshJson>>("Mesh");
  const [dataplanes, insights] = [graph.source<Resource>("Dataplane"), graph.source<Resource>("DataplaneInsight")];
  const [secrets, zones] = [graph.source<Resource>("Secret"), graph.source<Resource>("Zone")];
  const there = graph.source<true>("connected");
  const sources = { Mesh: meshes, Dataplane: dataplanes, DataplaneInsight: insights, Secret: secrets, Zone: zones };
  const open = openGates(graph, { of: (kind) => sources[kind as "Zone"] as never, connected: there });
  const set = (next: Resource<MeshJson>): void => meshes.set("m", next);
  const current = (): Resource<MeshJson> => {
    const found = meshes.get("m");
    assert.ok(found);
    return found;
  };
  set(mesh("a", ["a"]));
  for (const name of ["a", "b", "c"]) {
    const secret = authoritySecretNames("m", name).certificate;
    secrets.set(`m/${secret}`, resource("Secret", secret, { data: "" }));
  }
  const here = Array.from({ length: zoneCount }, (_, index) => ({
    name: `zone-${index}`,
    mesh: current(),
    envoys: [] as (Envoy & { readonly name: string })[],
  }));
  type Zone = (typeof here)[number];
  for (const { name } of here) {
    zones.set(name, resource("Zone", name, {}));
    there.set(name, true);
  }
  const listed = (of: Resource<MeshJson>): readonly string[] =>
    (of.spec.mtls?.backends ?? []).map(({ name = "" }) => name);
  const report = (zone: Zone): void => {
    if (!there.get(zone.name)) return;
    for (const { name, trusts, holds } of zone.envoys) {
      dataplanes.set(`m/${name}`, resource("Dataplane", name, { networking: {} }, { "kuma.io/zone": zone.name }));
      insights.set(`m/${name}`, { ...insight(holds, ...trusts), name } as Resource);
    }
  };
  const deliver = (zone: Zone): void => {
    if (there.get(zone.name)) zone.mesh = current();
  };
  const trust = (zone: Zone): void => {
    for (const envoy of zone.envoys) envoy.trusts = listed(zone.mesh);
  };
  const issue = (zone: Zone): void => {
    for (const envoy of zone.envoys) envoy.holds = issuingBackendOf(zone.mesh) ?? "";
  };
  const known = (): readonly ProxyTrust[] =>
    [...dataplanes.keys()].flatMap((key) => {
      const found = proxyTrust(dataplanes.get(key) as Resource<DataplaneJson>, insights.get(key) as never);
      return found ? [found] : [];
    });
  const away = () => here.filter(({ name }) => !there.get(name)).map(({ name }) => ({ zone: name, since: undefined }));

  return {
    here,
    current,
    apply(enabled: string, names: readonly string[]): boolean {
      const before = current();
      const after = mesh(enabled, names);
      const gone = listed(before).filter((name) => !names.includes(name));
      const isLate = here.some((zone) => there.get(zone.name) && zone.mesh !== before);
      if (gone.length > 0 && isLate) return false;
      if (gone.some((name) => needsOf(name, before, known(), away()).length > 0)) return false;
      set({ ...after, labels: issuingLabels(before, after) });
      return true;
    },
    ...{ deliver, trust, issue, report },
    /** What its insight says of one that joins is at global before anybody decides. */
    join(zone: Zone): void {
      const name = `${zone.name}-${zone.envoys.length}`;
      zone.envoys.push({ name, trusts: listed(zone.mesh), holds: issuingBackendOf(zone.mesh) ?? "" });
      report(zone);
    },
    /** All that is under way arrives. */
    rest(): void {
      for (const zone of here) for (const step of [deliver, trust, issue, report]) step(zone);
    },
    leave: (zone: Zone): void => there.set(zone.name, undefined),
    comeBack(zone: Zone): void {
      there.set(zone.name, true);
      report(zone);
    },
    /** As the keeper does: open, then all that are there have the newest, then still open. */
    pass(): boolean {
      graph.settle();
      const opened = open.get("m");
      if (!opened) return false;
      for (const zone of here) {
        deliver(zone);
        if (there.get(zone.name)) trust(zone);
      }
      set(opened);
      return true;
    },
    /** Pairs of which one does not believe the other. */
    broken: (): readonly string[] => {
      const all = here.flatMap(({ envoys }) => envoys);
      return all.flatMap((one) =>
        all
          .filter(({ trusts }) => !trusts.includes(one.holds))
          .map((other) => `${other.name} does not trust ${one.name}`),
      );
    },
  };
}

const lists = [["a"], ["a", "b"], ["b"], ["b", "c"], ["a", "b", "c"], ["c"], ["a", "c"]];
const applied = fc
  .constantFrom(...lists)
  .chain((names) => fc.constantFrom(...names).map((enabled) => ({ enabled, names })));
const event = fc.oneof(
  { weight: 3, arbitrary: applied.map((spec) => ({ kind: "apply" as const, ...spec })) },
  { weight: 3, arbitrary: fc.constantFrom({ kind: "pass" as const }, { kind: "rest" as const }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom("deliver", "trust", "issue", "report", "join", "leave", "comeBack"),
      zone: fc.nat(1),
    }),
  },
);

describe("whatever happens in whatever order", () => {
  it("every pair that could talk can talk", () => {
    let [passed, retired] = [0, 0];
    fc.assert(
      fc.property(fc.array(event, { minLength: 10, maxLength: 60 }), (events) => {
        const world = model(2);
        for (const one of events) {
          if (one.kind === "apply") {
            const before = world.current().spec.mtls?.backends?.length ?? 0;
            if (world.apply(one.enabled, one.names) && one.names.length < before) retired++;
          } else if (one.kind === "pass") passed += world.pass() ? 1 : 0;
          else if (one.kind === "rest") world.rest();
          else {
            const zone = world.here[one.zone];
            if (zone) world[one.kind](zone);
          }
          assert.deepEqual(world.broken(), []);
        }
      }),
      { numRuns: 2_000 },
    );
    assert.ok(passed > 100 && retired > 100, `${passed} gates passed, ${retired} lists made shorter`);
  });

  it("and in the end a rotation is done", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        const world = model(2);
        for (const one of events) {
          if (one.kind === "apply") world.apply(one.enabled, one.names);
          else if (one.kind === "pass" || one.kind === "rest") world[one.kind]();
          else if (world.here[one.zone]) world[one.kind](world.here[one.zone]!);
        }
        for (const zone of world.here) world.comeBack(zone);
        assert.ok(world.apply("c", ["a", "b", "c"]));
        world.rest();
        world.pass();
        world.rest();
        assert.ok(world.apply("c", ["c"]));
      }),
      { numRuns: 500 },
    );
  });
});
