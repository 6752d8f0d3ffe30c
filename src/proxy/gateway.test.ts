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

/** All that comes in at `edge` goes to `backend`. */
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
  const { clusters, routes } = gatewayOf({
    view: "view",
    mesh: meshFactsOf(resource("Mesh", "", "default", {})),
    gateway: resource("MeshGateway", "default", "edge", {
      conf: { listeners: [{ port: 80, protocol: "HTTP" as const }] },
    }),
    address: "10.0.0.1",
    tags: { "kuma.io/service": "edge" },
    routes: [{ policy: route, sections: ["80/*"] }],
    tcpRoutes: [],
    factsOf: () => undefined,
    findResource: () => undefined,
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

test("connections have the timeouts of the way to their service before those of who calls; a listener for other meshes is not opened", () => {
  const said = (part: "from" | "to", name: string, idleTimeout: string) =>
    resource("MeshTimeout", "default", name, {
      [part]: [{ targetRef: { kind: "Mesh" as const }, default: { idleTimeout } }],
    });
  const timeouts: readonly Resource<PolicySpec>[] = [said("from", "callers", "300s"), said("to", "ways", "60s")];
  const route = resource("MeshTCPRoute", "default", "route", {
    targetRef: { kind: "MeshGateway" as const, name: "edge" },
    to: [
      {
        targetRef: { kind: "Mesh" as const },
        rules: [
          {
            default: {
              backendRefs: [
                { kind: "MeshService" as const, name: "db", weight: 3 },
                { kind: "MeshService" as const, name: "db-2", weight: 1 },
              ],
            },
          },
        ],
      },
    ],
  });
  const made = (saying: readonly Resource<PolicySpec>[]) =>
    gatewayOf({
      view: "view",
      mesh: meshFactsOf(resource("Mesh", "", "default", {})),
      gateway: resource("MeshGateway", "default", "edge", {
        conf: {
          listeners: [
            { port: 5432, protocol: "TCP" as const },
            { port: 80, protocol: "HTTP" as const, crossMesh: true },
            { port: 5433, protocol: "TCP" as const },
          ],
        },
      }),
      address: "10.0.0.1",
      tags: { "kuma.io/service": "edge" },
      routes: [],
      tcpRoutes: [{ policy: route, sections: ["5432/*"] }],
      factsOf: () => undefined,
      findResource: () => undefined,
      policies: applied(
        saying.map(({ kind, name }) => ({ kind, key: name, sections: ["5432/*", "5433/*"] })),
        (_, key) => timeouts.find(({ name }) => name === key),
      ),
    }).listeners;
  const idle = (saying: readonly Resource<PolicySpec>[]) =>
    /"idleTimeout":"([^"]*)"/.exec(JSON.stringify(made(saying)[0]?.json))?.[1];
  assert.deepEqual([timeouts, timeouts.slice(0, 1), []].map(idle), ["60s", "300s", "3600s"]);
  const [routed, other, ...more] = made([]);
  assert.deepEqual([routed?.name, other?.name, more], ["edge:TCP:5432", "edge:TCP:5433", []]);
  assert.deepEqual(routed?.refers, ["db", "db-2"]);
  assert.match(JSON.stringify(routed?.json), /\{"name":"db","weight":3\},\{"name":"db-2","weight":1\}/);
  assert.match(JSON.stringify(other?.json), /direct_response/);
});

test("connections to a service that is a resource have its timeouts and attempts, those of the first backend that is known", () => {
  const to = (kind: string, name: string, conf: object): Resource<PolicySpec> =>
    resource(kind, "default", kind, { to: [{ targetRef: { kind: "MeshService" as const, name }, default: conf }] });
  const policies = [
    to("MeshTimeout", "db", { idleTimeout: "60s" }),
    to("MeshRetry", "db", { tcp: { maxConnectAttempt: 7 } }),
  ];
  const route = resource("MeshTCPRoute", "default", "route", {
    targetRef: { kind: "MeshGateway" as const, name: "edge" },
    to: [
      {
        targetRef: { kind: "Mesh" as const },
        rules: [
          {
            default: {
              backendRefs: [
                { kind: "MeshService" as const, name: "unknown", port: 5432 },
                { kind: "MeshService" as const, name: "db", port: 5432 },
              ],
            },
          },
        ],
      },
    ],
  });
  const db = "default_db___msvc_5432";
  const identity = { name: "db", namespace: "", zone: "", labels: {} };
  const { listeners } = gatewayOf({
    view: "view",
    mesh: meshFactsOf(resource("Mesh", "", "default", {})),
    gateway: resource("MeshGateway", "default", "edge", {
      conf: { listeners: [{ port: 5432, protocol: "TCP" as const }] },
    }),
    address: "10.0.0.1",
    tags: { "kuma.io/service": "edge" },
    routes: [],
    tcpRoutes: [{ policy: route, sections: ["5432/*"] }],
    factsOf: (service) =>
      service === db
        ? {
            ...{ protocol: "tcp", zones: [] },
            resource: { ...identity, kind: "MeshService", section: "5432", sni: "", identities: [] },
          }
        : undefined,
    findResource: ({ name }) => (name === "db" ? db : undefined),
    policies: applied(
      policies.map(({ kind, name }) => ({ kind, key: name, sections: ["5432/*"] })),
      (kind) => policies.find((one) => one.kind === kind),
    ),
  });
  const json = JSON.stringify(listeners[0]?.json);
  assert.match(json, /"idleTimeout":"60s"/);
  assert.match(json, /"maxConnectAttempts":7/);
});

test("a policy with `to` for some listeners holds for what comes in there: these have clusters and routes of their own", () => {
  const toAll = (kind: string, name: string, tags: Record<string, string>, conf: object): Resource<PolicySpec> =>
    resource(kind, "default", name, {
      targetRef: { kind: "MeshGateway" as const, name: "edge", ...(Object.keys(tags).length > 0 && { tags }) },
      to: [{ targetRef: { kind: "Mesh" as const }, default: conf }],
    });
  const strategy = toAll("MeshLoadBalancingStrategy", "strategy", { part: "a" }, { loadBalancer: { type: "Random" } });
  const timeout = toAll("MeshTimeout", "timeout", { part: "b" }, { http: { requestTimeout: "7s" } });
  const everywhere = toAll("MeshTimeout", "everywhere", {}, { http: { requestTimeout: "9s" } });
  const [a, b] = ["80/a.example", "80/b.example"];
  const made = (...saying: readonly (readonly [Resource<PolicySpec>, readonly string[]])[]) => {
    const { clusters, routes } = gatewayOf({
      view: "view",
      mesh: meshFactsOf(resource("Mesh", "", "default", {})),
      gateway: resource("MeshGateway", "default", "edge", {
        conf: {
          listeners: ["a", "b"].map((part) => ({
            ...{ port: 80, protocol: "HTTP" as const, hostname: `${part}.example`, tags: { part } },
          })),
        },
      }),
      address: "10.0.0.1",
      tags: { "kuma.io/service": "edge" },
      routes: [{ policy: route, sections: [a, b] as string[] }],
      tcpRoutes: [],
      factsOf: () => undefined,
      findResource: () => undefined,
      policies: applied(
        saying.map(([{ kind, name }, sections]) => ({ kind, key: name, sections })),
        (_, key) => saying.find(([{ name }]) => name === key)?.[0],
      ),
    });
    const hosts = routes[0]?.json as { virtualHosts: { name: string; routes: { route: Record<string, unknown> }[] }[] };
    return {
      clusters: clusters.map(({ draft }) => [draft.name, "lbPolicy" in draft.json && draft.json.lbPolicy]),
      routes: hosts.virtualHosts.map(({ name, routes }) => [name, routes[0]?.route.cluster, routes[0]?.route.timeout]),
    };
  };
  const [random, timed] = ["backend@MeshLoadBalancingStrategy/strategy", "backend@MeshTimeout/timeout"];
  assert.deepEqual(made([strategy, [a]], [everywhere, [a, b]], [timeout, [b]]), {
    clusters: [
      [random, "RANDOM"],
      [timed, "ROUND_ROBIN"],
    ],
    routes: [
      ["a.example", random, "9s"],
      ["b.example", timed, "7s"],
    ],
  });
  assert.deepEqual(made([strategy, [a]], [everywhere, [a, b]]), {
    clusters: [
      ["backend", "ROUND_ROBIN"],
      [random, "RANDOM"],
    ],
    routes: [
      ["a.example", random, "9s"],
      ["b.example", "backend", "9s"],
    ],
  });
  assert.deepEqual(made([everywhere, [a, b]]), {
    clusters: [["backend", "ROUND_ROBIN"]],
    routes: [
      ["a.example", "backend", "9s"],
      ["b.example", "backend", "9s"],
    ],
  });
});
