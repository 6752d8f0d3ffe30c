import assert from "node:assert/strict";
import { test } from "node:test";
import { localFirst, together } from "#topology/locality.ts";
import { meshFactsOf } from "#topology/mesh.ts";
import type { Instance, RemoteOffer } from "#topology/provider.ts";
import { endpointsOf, remoteZonesOf } from "#topology/service.ts";

const instance: Instance = { address: "10.0.0.1", port: 80, tags: {}, isHealthy: true, isMarked: false };
const offer: RemoteOffer = {
  ...{ zone: "zone-b", ingress: "i-1", address: "10.1.0.1", port: 10001 },
  isDrained: false,
  entries: [{ tags: {}, instances: 3 }],
};
const placesWith = (routing: object): readonly (readonly [zone: string, priority: number])[] => {
  const times = { creationTime: "", modificationTime: "" };
  const mesh = { kind: "Mesh", mesh: "", name: "default", labels: {}, spec: { routing }, ...times };
  const { isLocalFirst } = meshFactsOf(mesh);
  const input = {
    localZone: "zone-a",
    subset: {},
    instances: [[instance]],
    offers: [offer],
    locality: isLocalFirst ? localFirst : together,
  };
  return endpointsOf(input).map(({ zone, priority }) => [zone, priority]);
};

test("other zones have their share; with routing.localityAwareLoadBalancing they are second", () => {
  const shared = [
    ["zone-a", 0],
    ["zone-b", 0],
  ];
  assert.deepEqual(placesWith({}), shared);
  assert.deepEqual(placesWith({ localityAwareLoadBalancing: false }), shared);
  assert.deepEqual(placesWith({ localityAwareLoadBalancing: true }), [
    ["zone-a", 0],
    ["zone-b", 1],
  ]);
});

test("a drained zone is marked, whichever of its ingresses says so, and has its share where all are", () => {
  const drained = { ...offer, ingress: "i-2", address: "10.1.0.2", isDrained: true };
  const other = { ...offer, zone: "zone-c", ingress: "i-3", address: "10.2.0.1" };
  const input = { localZone: "zone-a", subset: {}, instances: [[instance]], offers: [offer, drained, other] };
  assert.deepEqual(
    endpointsOf(input).map(({ zone, weight, isMarked }) => [zone, weight, isMarked]),
    [
      ["zone-a", 2, false],
      ["zone-b", 3, true],
      ["zone-b", 3, true],
      ["zone-c", 6, false],
    ],
  );
});

test("what an ingress offers several times is summed; ingresses of a zone count once, behind one address, too", () => {
  const more = (ingress: string, instances: number): RemoteOffer => ({
    ...{ ...offer, ingress },
    entries: [{ tags: {}, instances }],
  });
  // `i-2` has not heard of all that there is.
  const offers = [offer, more("i-1", 5), more("i-2", 3), more("i-2", 4)];
  assert.deepEqual(remoteZonesOf(offers, {}), [
    { zone: "zone-b", instances: 8, isDrained: false, addresses: [{ address: "10.1.0.1", port: 10001 }] },
  ]);
});
