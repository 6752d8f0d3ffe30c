import assert from "node:assert/strict";
import { test } from "node:test";
import type { PolicySpec } from "#policies/schema.ts";
import { applied } from "#proxy/applied.ts";
import { gatewayOf } from "#proxy/gateway.ts";
import type { Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import { localFirst } from "#topology/locality.ts";
import { meshFactsOf } from "#topology/mesh.ts";

const resource = <Spec>(kind: string, mesh: string, name: string, spec: Spec): Resource<Spec> => ({
  ...{ kind, mesh, name, spec, labels: {} },
  ...{ creationTime: zeroTime, modificationTime: zeroTime },
});

test("a MeshLoadBalancingStrategy says how a gateway chooses, what of its requests counts, and which endpoints come first", () => {
  const strategy: Resource<PolicySpec> = resource("MeshLoadBalancingStrategy", "default", "sticky", {
    to: [
      {
        targetRef: { kind: "Mesh" },
        default: {
          loadBalancer: { type: "Maglev" },
          hashPolicies: [{ type: "Header", header: { name: "x-user" } }],
        },
      },
    ],
  });
  const route = resource("MeshHTTPRoute", "default", "route", {
    targetRef: { kind: "MeshGateway" as const, name: "edge" },
    to: [
      {
        targetRef: { kind: "Mesh" as const },
        rules: [
          {
            matches: [{ path: { type: "PathPrefix" as const, value: "/" } }],
            default: { backendRefs: [{ kind: "MeshService" as const, name: "backend" }] },
          },
        ],
      },
    ],
  });
  const { clusters, routes } = gatewayOf({
    view: "view",
    mesh: meshFactsOf(resource("Mesh", "", "default", {})),
    gateway: resource("MeshGateway", "default", "edge", {
      conf: { listeners: [{ port: 80, protocol: "HTTP" as const }] },
    }),
    address: "10.0.0.1",
    tags: { "kuma.io/service": "edge" },
    routes: [{ policy: route, sections: ["80/*"] }],
    factsOf: () => undefined,
    policies: applied([{ kind: strategy.kind, key: "default/sticky", sections: ["80/*"] }], () => strategy),
  });
  assert.deepEqual(
    clusters.map(({ target, draft, locality }) => [
      target.name,
      "lbPolicy" in draft.json && draft.json.lbPolicy,
      locality?.others,
    ]),
    [["backend", "MAGLEV", localFirst.others]],
  );
  assert.equal(routes.length, 1);
  assert.match(JSON.stringify(routes[0]?.json), /"hashPolicy":\[\{"header":\{"headerName":"x-user"\}\}\]/);
});
