import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { incrementalGraph } from "#incremental/graph.ts";
import type { Outgoing } from "#kds/audience.ts";
import { sharedSets } from "#kds/outgoing.ts";

const outgoing = (name: string, more: Partial<Outgoing> = {}): Outgoing => ({
  item: { name, version: "1", bytes: new Uint8Array() },
  needs: [],
  ...more,
});

function given() {
  const graph = incrementalGraph();
  const source = graph.source<Outgoing>("x");
  const sets = sharedSets(new Map([["MeshService", source]]));
  const audience = (zone: string, ...features: string[]) => ({ zone, features: new Set(features), getsKeys: true });
  return {
    set: source.set.bind(source),
    settle: () => sets.settled(graph.settle()).get("MeshService") ?? [],
    wanted: (zone: string, ...features: string[]) => sets.wanted("MeshService", audience(zone, ...features)),
    names: (zone: string, ...features: string[]) => [
      ...sets.wanted("MeshService", audience(zone, ...features))!.names(),
    ],
  };
}

describe("sets that streams share", () => {
  it("are nothing before the first settle, so that no peer is told to delete", () => {
    assert.equal(given().wanted("a"), undefined);
  });

  it("are one set for all zones, and for each that something is not for, one without it", () => {
    const { set, settle, names, wanted } = given();
    set("1", outgoing("of-a", { notTo: ["a"] }));
    set("2", outgoing("for-b", { onlyTo: "b" }));
    set("3", outgoing("new", { needs: ["producer-policy-flow"] }));
    set("4", outgoing("plain"));
    settle();
    assert.deepEqual(names("a", "producer-policy-flow"), ["new", "plain"]);
    assert.deepEqual(names("b", "producer-policy-flow"), ["of-a", "for-b", "new", "plain"]);
    assert.deepEqual(names("c"), ["of-a", "plain"]);
    assert.equal(wanted("c"), wanted("d"), "two with the same omissions");
    assert.equal(wanted("a", "producer-policy-flow")!.get("of-a"), undefined);
    assert.equal(wanted("c")!.get("of-a")!.name, "of-a");
  });

  it("say which names may differ, the old name of what is renamed among them; a set that was handed over stays as it was", () => {
    const { set, settle, names, wanted } = given();
    set("1", outgoing("a"));
    assert.deepEqual(settle(), ["a"]);
    const before = wanted("x")!;
    set("1", outgoing("b"));
    assert.deepEqual(settle(), ["a", "b"]);
    assert.deepEqual([...before.names()], ["a"]);
    assert.deepEqual(names("x"), ["b"]);
    set("1", undefined);
    assert.deepEqual(settle(), ["b"]);
    assert.deepEqual(names("x"), []);
    assert.deepEqual(settle(), []);
  });
});
