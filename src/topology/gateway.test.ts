import assert from "node:assert/strict";
import { test } from "node:test";
import { bySpecificity, covers, gatewayFor, type MeshGateway, narrowed } from "#topology/gateway.ts";

const gateway = (name: string, ...matches: Record<string, string>[]) =>
  ({
    kind: "MeshGateway",
    mesh: "default",
    name,
    labels: {},
    spec: { selectors: matches.map((match) => ({ match })) },
  }) as unknown as MeshGateway;

test("a proxy takes the gateway whose selector says most of its tags", () => {
  const tags = { "kuma.io/service": "edge", team: "web", site: "north" };
  const chosen = (...gateways: MeshGateway[]) => gatewayFor(tags, gateways)?.name;
  const edge = gateway("edge", { "kuma.io/service": "edge" });
  assert.equal(chosen(gateway("other", { "kuma.io/service": "other" })), undefined);
  assert.equal(chosen(gateway("none")), undefined);
  assert.equal(chosen(gateway("some", { team: "web", site: "south" }), edge), "edge");
  assert.equal(chosen(gateway("all", {}), edge), "edge");
  assert.equal(chosen(gateway("any", { team: "*", site: "*" }), edge), "edge", "what is named counts more");
  assert.equal(chosen(edge, gateway("both", { team: "x" }, { "kuma.io/service": "edge", team: "*" })), "both");
  assert.equal(chosen(edge, gateway("a", { team: "web" })), "a", "of equal ones the first by name");
});

test("names that cover others", () => {
  assert.deepEqual(
    [
      ["*", "a.b"],
      ["*.b", "a.b"],
      ["*.b", "x.a.b"],
      ["*.b", "*.a.b"],
      ["a.b", "a.b"],
      ["*.b", "b"],
      ["*.b", "*"],
      ["a.b", "*.b"],
    ].map(([pattern = "", name = ""]) => covers(pattern, name)),
    [true, true, true, true, true, false, false, false],
  );
  assert.equal(narrowed("*.example", "a.example"), "a.example");
  assert.equal(narrowed("a.example", "*"), "a.example");
  assert.equal(narrowed("a.example", "b.example"), undefined);
  assert.deepEqual(["*", "*.b", "a.b", "*.a.b", "x.a.b"].sort(bySpecificity), ["x.a.b", "a.b", "*.a.b", "*.b", "*"]);
});
