// MeshExternalServices, as the proxies and egresses of a zone get them.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { EnvoyType } from "#discovery/order.ts";
import type { JsonObject } from "#lib/json.ts";
import { dataplane, endpointsIn, ingressOf, resource, stage } from "#proxy/services.fixture.ts";
import type { Resource } from "#resources/resource.ts";

const bank = (zone?: string, origin = "global", name = "bank", endpoint = "192.0.2.1"): Resource =>
  resource(
    "MeshExternalService",
    name,
    { match: { port: 9000, protocol: "http" }, endpoints: [{ address: endpoint, port: 443 }] },
    { "kuma.io/origin": origin, "kuma.io/display-name": "bank", ...(zone !== undefined && { "kuma.io/zone": zone }) },
    { vip: { ip: "242.0.0.1" } },
  );
const egressA = resource("ZoneEgress", "egress-a", { networking: { address: "10.0.0.5", port: 10002 } });
const offering = (zone: string, name: string, address: string, offered: JsonObject): Resource => {
  const one = ingressOf(zone, name, address, 0);
  return { ...one, spec: { ...(one.spec as JsonObject), availableServices: [{ instances: 1, ...offered }] } };
};

test("a MeshExternalService that is pinned to another zone is behind that zone's ingresses, and no other's", () => {
  const name = "default_bank__zone-b_extsvc_9000";
  const entry = { mesh: "", externalService: true, tags: { "kuma.io/service": name } };
  const { remove, egress, client } = stage(
    [],
    [
      ...[egressA, bank("zone-b"), bank("zone-a", "zone", "bank-of-a")],
      ...[offering("zone-b", "i-1", "10.2.0.1", entry), offering("zone-c", "i-2", "10.3.0.1", entry)],
    ],
  );
  assert.deepEqual(endpointsIn(egress("endpoint", name)), ["0 10.2.0.1:10001 1"]);
  const snis = [name, "default_bank__zone-a_extsvc_9000"].map(
    (one) => /"sni":"(a[0-9a-f]{16}\.bank\.9000\.default\.mes)"/.exec(JSON.stringify(client("cluster", one)))?.[1],
  );
  assert.ok(snis.every((sni) => sni !== undefined) && snis[0] !== snis[1], `one SNI for each: ${snis}`);
  assert.ok(JSON.stringify(egress("listener", "inbound:10.0.0.5:10002")).includes(`"${snis[0]}"`));
  remove("ZoneIngress", "i-1");
  assert.equal(egress("endpoint", name), undefined);
  assert.match(JSON.stringify(client("route", `outbound:${name}`)), /no zone ingress of zone-b offers it/);
});

test("of two with one identity, of which the zone wrote one, the same is called whichever came first", () => {
  const two = [bank("zone-a", "global", "a", "192.0.2.1"), bank("zone-a", "zone", "b", "192.0.2.2")];
  for (const all of [two, two.toReversed()]) {
    const { egress } = stage([], [egressA, ...all]);
    assert.match(JSON.stringify(egress("cluster", "default_bank__zone-a_extsvc_9000")), /192\.0\.2\.1/);
  }
});

test("no proxy's tag leads to what a resource says to be outside", () => {
  const name = "default_bank___extsvc_9000";
  const { egress, ingress, set } = stage(
    [],
    [
      ...[egressA, ingressOf("", "ingress-a", "10.1.0.1", 0), dataplane("thief", "10.0.0.6", name)],
      offering("zone-c", "i-2", "10.3.0.1", { mesh: "default", tags: { "kuma.io/service": name } }),
    ],
  );
  const led = () => ["endpoint", "cluster"].map((type) => egress(type as EnvoyType, `default:${name}`) !== undefined);
  assert.deepEqual(led(), [true, true]);
  assert.ok(ingress("endpoint", `default:${name}`));
  set(bank());
  assert.deepEqual(led(), [false, false]);
  assert.equal(egress("endpoint", name), undefined);
  assert.equal(ingress("endpoint", `default:${name}`) ?? ingress("endpoint", name), undefined);
});
