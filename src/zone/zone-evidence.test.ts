import assert from "node:assert/strict";
import { test } from "node:test";
import { entranceElsewhere, zoneProbesOf } from "#topology/probe.ts";
import { zoneEvidence } from "#zone/zone-evidence.ts";

test("a zone is silent since none of its ingresses answers any of ours, and said to be when that changes", () => {
  let now = 1_000;
  let told = 0;
  const { said, silent } = zoneEvidence({ now: () => now }, () => told++);
  const one = (b1: boolean, b2: boolean) =>
    new Map([
      ["zone-b 10.1.0.1:1", b1],
      ["zone-b 10.1.0.2:1", b2],
      ["zone-c 10.2.0.1:1", true],
    ]);
  said("in-1", one(false, true));
  assert.deepEqual([[...silent()], told], [[], 0]);
  said("in-1", one(false, false));
  now = 2_000;
  said("in-1", one(false, false));
  assert.deepEqual([[...silent()], told], [[["zone-b", 1_000]], 1]);
  said("in-2", one(true, true));
  assert.deepEqual([[...silent()], told], [[], 2]);
  said("in-2", undefined);
  assert.deepEqual([[...silent()], told], [[["zone-b", 2_000]], 3]);
  said("in-1", undefined);
  assert.deepEqual([[...silent()], told], [[], 4]);
});

test("an ingress of this zone asks each public ingress of others, each once", () => {
  const networking = { advertisedAddress: "10.1.0.1", advertisedPort: 1 };
  const all = [
    { zone: "zone-b", networking },
    { zone: "zone-b", networking },
    { zone: "zone-a", networking },
    { networking },
    { zone: "zone-c" },
  ];
  const probes = zoneProbesOf(all.flatMap((spec) => entranceElsewhere(spec, "zone-a")));
  assert.deepEqual(
    probes.map(({ name, at }) => [name, at]),
    [["zone-b 10.1.0.1:1", { address: "10.1.0.1", port: 1 }]],
  );
});
