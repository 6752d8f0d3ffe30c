import assert from "node:assert/strict";
import { test } from "node:test";
import { incrementalGraph } from "#incremental/graph.ts";
import type { Bundle, ProxyConfig } from "#proxy/bundle.ts";
import type { Ways } from "#topology/egress.ts";
import { everyService } from "#topology/provider.ts";
import { leads } from "#zone/leads.ts";

const ingress = { kind: "ZoneIngress", mesh: "", name: "ingress-1" };
const egress = { kind: "ZoneEgress", mesh: "", name: "egress-1" };
const wantedServices = ["default/backend"];
const wantedWays: Ways = { services: wantedServices, zones: {} };

function stage() {
  const graph = incrementalGraph();
  const listeners = graph.source<Bundle>("listeners");
  const ingressServices = graph.source<readonly string[]>("ingress services");
  const egressWays = graph.source<Ways>("egress ways");
  const egresses = graph.source<ProxyConfig>("egresses");
  const services = graph.source<readonly string[]>("services");
  const ways = graph.source<Ways>("ways");
  for (const { name } of [ingress, egress])
    listeners.set(name, [{ type: "listener", item: { name, version: "2", bytes: new Uint8Array() } }]);
  ingressServices.set(ingress.name, wantedServices);
  egressWays.set(egress.name, wantedWays);
  egresses.set(egress.name, { shared: [], own: [{ from: listeners, key: egress.name }] });
  const configs = { ingressServices, ingressListeners: listeners, egressWays, egresses };
  return { services, ways, known: leads({ configs, services, ways }) };
}

const holding = (version: string) => ({ versionHeld: () => version });

test("a way is there when its Envoy has acknowledged it as it is now", () => {
  const { services, ways, known } = stage();
  for (const id of [ingress, egress]) {
    assert.equal(known.progress(id, holding("1")), false);
    assert.equal(known.progress(id, holding("2")), true);
    assert.equal(known.progress(id, holding("2")), false, "nothing new");
  }
  assert.deepEqual([services.get(ingress.name), ways.get(egress.name)], [wantedServices, wantedWays]);
});

test("with the resource goes what was known of its Envoy: one of the same name has said nothing yet", () => {
  const { services, ways, known } = stage();
  for (const id of [ingress, egress]) {
    known.progress(id, holding("2"));
    assert.equal(known.removed({ ...id, name: "another" }), false);
    assert.equal(known.removed(id), true);
    assert.equal(known.removed(id), false);
  }
  assert.equal(known.removed({ kind: "Dataplane", mesh: "default", name: "ingress-1" }), false);
  assert.deepEqual([[...services.keys()], [...ways.keys()]], [[], []]);
});

test("an ingress that goes on with what it had leads everywhere until it is heard, whether or not it takes what is new", () => {
  const { services, known } = stage();
  known.returns(ingress);
  known.returns(egress);
  assert.deepEqual(services.get(ingress.name), [everyService]);
  assert.equal(known.progress(ingress, holding("1")), true);
  assert.deepEqual(services.get(ingress.name), wantedServices);
});
