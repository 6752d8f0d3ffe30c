import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type RemoteZone, weightsOf } from "#topology/weights.ts";

const zone = (name: string, instances: number, ingresses: number): RemoteZone => ({
  zone: name,
  instances,
  isDrained: false,
  addresses: Array.from({ length: ingresses }, (_, i) => ({ address: `10.0.${i}.1`, port: 10001 })),
});

test("a zone with 2 instances receives twice as much as a zone with 1", () => {
  assert.deepEqual(weightsOf(1, [zone("b", 2, 1)]), { local: 1, remote: new Map([["b", 2]]) });
});

test("the number of ingresses does not change a zone's share", () => {
  const { local, remote } = weightsOf(1, [zone("b", 3, 2), zone("c", 6, 3)]);
  assert.deepEqual([local, remote.get("b")! * 2, remote.get("c")! * 3], [6, 18, 36]);
});

test("a zone without instances, or without an address, has no weight", () => {
  assert.deepEqual(weightsOf(2, [zone("b", 0, 1), zone("c", 4, 0)]), { local: 1, remote: new Map() });
});

test("shares equal the shares of instances, and sums fit Envoy's 32 bits", () => {
  const zones = fc.array(
    fc.record({ instances: fc.integer({ min: 1, max: 5000 }), ingresses: fc.integer({ min: 1, max: 16 }) }),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), zones, (local, remote) => {
      const all = remote.map((z, i) => zone(`z${i}`, z.instances, z.ingresses));
      const weights = weightsOf(local, all);
      const sums = [weights.local * local, ...all.map((z) => weights.remote.get(z.zone)! * z.addresses.length)];
      const total = sums.reduce((a, b) => a + b, 0);
      const instances = local + remote.reduce((sum, z) => sum + z.instances, 0);
      assert.ok(total < 2 ** 32);
      for (const [i, n] of [local, ...remote.map((z) => z.instances)].entries())
        assert.ok(Math.abs(sums[i]! / total - n / instances) < 0.001);
    }),
  );
});
