import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterLoadAssignmentJson } from "#gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { assignmentDraft } from "#proxy/ingress-collections.ts";
import type { Instance } from "#topology/provider.ts";

const usual: Instance = { address: "10.0.0.1", port: 80, tags: {}, isHealthy: true, isMarked: false };

/** Ports, and what is only taken when there is nobody else. */
function behind(instances: readonly Partial<Instance>[]): readonly string[] {
  const target = { mesh: "default", service: "web", subset: {} };
  const draft = assignmentDraft(target, [instances.map((one) => ({ ...usual, ...one }))], "east");
  return ((draft.json as ClusterLoadAssignmentJson).endpoints ?? []).flatMap(({ lbEndpoints = [] }) =>
    lbEndpoints.map(({ endpoint, healthStatus }) => {
      const port = endpoint?.address?.socketAddress?.portValue;
      return `${port}${healthStatus === "UNHEALTHY" ? " last" : ""}`;
    }),
  );
}

test("behind an ingress are those that serve, those that leave and still do, and the doubtful", () => {
  assert.deepEqual(
    behind([
      { port: 81 },
      { port: 82, isHealthy: false },
      { port: 83, isMarked: true },
      // It has left and ended, or does not serve yet, or was refused: a connection fails when the ingress has met three such.
      { port: 84, isHealthy: false, isMarked: true },
    ]),
    ["81", "82 last", "83 last"],
  );
});

test("what departed and came back is there once, as what it is now", () => {
  assert.deepEqual(behind([{ port: 81 }, { port: 81, isMarked: true }]), ["81"]);
});
