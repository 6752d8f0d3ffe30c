// A zone's control plane: whom it serves, what is its own to change, what it sends up, what it keeps.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import { get } from "../lab/http.ts";
import { eventually } from "../lab/lab.ts";
import { allowAll, dataplane, mesh, zoneIngress } from "../lab/manifests.ts";
import {
  apply,
  dataplaneToken,
  ingressToken,
  joining,
  linked,
  processes,
  proxyArgs,
  startGlobal,
  startIngress,
  startInstance,
  startZone,
} from "./processes.ts";

async function itemsAt(api: string, list: string): Promise<readonly JsonObject[]> {
  const { items }: JsonObject = JSON.parse(await (await fetch(`${api}/${list}`)).text());
  assert.ok(Array.isArray(items), list);
  return items.filter(isObject);
}
/** What a resource is called where it was made, and whose it is. */
const originOf = ({ labels }: JsonObject): readonly unknown[] => {
  const of = isObject(labels) ? labels : {};
  return [of["kuma.io/display-name"], of["kuma.io/origin"], of["kuma.io/zone"]];
};

test("a zone's control plane", async (t) => {
  const of = await processes(t);
  const global = await startGlobal(of);
  const dpPort = ["--dp-port", String(await freePort())];
  const zone = await startZone(of, "zone-a", [...(await joining(global, "zone-a")), ...dpPort]);
  const atZone = ["--api", zone.api];
  await apply(global, mesh("default"), allowAll("default"));
  const [token, zoneToken] = await Promise.all([dataplaneToken(global), ingressToken(global)]);
  const backend = (name: string, address: string) =>
    startInstance(of, zone, { name, service: "backend", address }, token);
  const [, backend2] = await Promise.all([
    backend("backend-1", "127.0.1.1"),
    backend("backend-2", "127.0.1.2"),
    startIngress(of, zone, "ingress-a", "127.0.1.3", zoneToken),
  ]);

  await t.test("it refuses a proxy of another zone by name", async () => {
    const lost = dataplane({
      ...{ mesh: "default", name: "lost", service: "web", address: "127.0.1.9", port: 80, appPort: 81 },
      tags: { "kuma.io/zone": "zone-b" },
    });
    const labelled = {
      ...dataplane({ mesh: "default", name: "labelled", service: "web", address: "127.0.1.9", port: 80, appPort: 81 }),
      labels: { "kuma.io/zone": "zone-b" },
    };
    const ingress = { ...zoneIngress("lost-ingress", "127.0.1.9", 80), zone: "zone-b" };
    const belongs = (what: string) =>
      `${what} belongs to zone "zone-b", and this is the control plane of zone "zone-a": give the proxy the address of its own zone's control plane`;
    const rows = [
      [lost, token, `networking.inbound[0].tags["kuma.io/zone"]: ${belongs('Dataplane "lost"')}`],
      [labelled, token, `labels["kuma.io/zone"]: ${belongs('Dataplane "labelled"')}`],
      [ingress, zoneToken, `zone: ${belongs('ZoneIngress "lost-ingress"')}`],
    ] as const;
    await Promise.all(
      rows.map(async ([manifest, secret, why]) =>
        assert.deepEqual(await of.kodiak(...(await proxyArgs(of, zone, manifest, secret))), {
          code: 1,
          out: "",
          err: `error: ${zone.url} refuses this proxy: ${why}\n`,
        }),
      ),
    );
  });

  const timeout = {
    type: "MeshTimeout",
    mesh: "default",
    name: "slow",
    spec: { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: "1s" } }] },
  };

  /** Beside those that come with a mesh. */
  const slowOnesAt = async (api: string) =>
    (await itemsAt(api, "meshtimeouts")).filter(({ name }) => String(name).startsWith(timeout.name));

  await t.test("A13: what is global's is changed on global: the refusal says where", async () => {
    const there = `the global control plane (this zone's connection to it: 127.0.0.1:${global.ready.kdsPort})`;
    const [meshFile, policyFile] = [await of.file("one.yaml", mesh("more")), await of.file("two.yaml", timeout)];
    const [{ name: received } = {}] = await itemsAt(zone.api, "meshes/default/meshtrafficpermissions");
    const [newMesh, policy, deletion] = await Promise.all([
      of.kodiak("apply", "-f", meshFile, ...atZone),
      of.kodiak("apply", "-f", policyFile, ...atZone),
      of.kodiak("delete", "meshtrafficpermission", String(received), ...atZone),
    ]);
    const nothing = (why: string) => ({ code: 1, out: "", err: `error: ${why}\nnothing was applied\n` });
    const isGlobals = `Mesh is written on ${there}, from where this zone receives it.`;
    assert.deepEqual(newMesh, nothing(`${meshFile}, document 1, line 1: ${isGlobals}`));
    const isForAll = `the origin label must be set to 'zone' for a resource of this zone alone; what holds in all zones is applied on ${there}`;
    assert.deepEqual(policy, nothing(`${policyFile}, document 1, line 1: labels["kuma.io/origin"]: ${isForAll}`));
    assert.equal(deletion.code, 1);
    assert.ok(
      deletion.err.endsWith(`"${received}" in mesh "default" belongs to ${there}; edit it there\n`),
      deletion.err,
    );
    assert.deepEqual(await slowOnesAt(zone.api), []);
    assert.equal((await itemsAt(zone.api, "meshtrafficpermissions")).length, 1);
  });

  await t.test("a policy with `kuma.io/origin: zone` is the zone's own and goes up", async () => {
    const own = { ...timeout, labels: { "kuma.io/origin": "zone" } };
    const out = await of.done("apply", "-f", await of.file("own.yaml", own), ...atZone);
    assert.equal(out, 'MeshTimeout "slow" in mesh "default" created\n');
    await eventually("the policy on global", 10_000, async () =>
      assert.deepEqual((await slowOnesAt(global.api)).map(originOf), [["slow", "zone", "zone-a"]]),
    );
    const rows = await of.table("meshtimeouts", "--api", global.api);
    assert.ok(
      rows.some(([, name, from]) => /^slow-\w+ zone-a$/.test(`${name} ${from}`)),
      rows.join("\n"),
    );
  });

  await t.test("dataplanes, their insights and the ingress go up", async () => {
    const expected = [
      ["dataplanes", ["backend-1", "backend-2"]],
      ["dataplane-insights", ["backend-1", "backend-2"]],
      ["zoneingresses", ["ingress-a"]],
      ["zone-ingress-insights", ["ingress-a"]],
    ] as const;
    for (const [list, names] of expected)
      await eventually(`${list} on global`, 10_000, async () =>
        assert.deepEqual(
          (await itemsAt(global.api, list)).map(originOf).sort(),
          names.map((name) => [name, "zone", "zone-a"]),
        ),
      );
  });

  await t.test("its ingress says how many healthy instances each service has", async () => {
    const offered = async (instances: number) => {
      const tags = { "kuma.io/service": "backend", "kuma.io/protocol": "http", "kuma.io/zone": "zone-a" };
      const [ingress] = await itemsAt(global.api, "zoneingresses");
      assert.deepEqual(ingress?.availableServices, [{ tags, instances, mesh: "default" }]);
    };
    await eventually("two instances", 10_000, () => offered(2));
    assert.deepEqual(await backend2.child.end(), { code: 0, signal: undefined });
    await eventually("one instance", 5_000, () => offered(1));
    assert.equal((await itemsAt(zone.api, "dataplanes")).length, 2, "the other is known for 10 s, and not healthy");
  });

  await t.test("ended and started again on the same data it is what it was; its proxies come back", async () => {
    const kept = async () => {
      const lists = ["meshes", "meshtrafficpermissions", "meshtimeouts", "secrets", "zoneingresses"];
      return Promise.all(lists.map((list) => itemsAt(zone.api, list)));
    };
    const before = await kept();
    assert.deepEqual(await zone.child.end(), { code: 0, signal: undefined });
    assert.deepEqual(await global.child.end(), { code: 0, signal: undefined });
    const ports = [...dpPort, "--api-port", String(zone.ready.apiPort)];
    const again = await startZone(of, "zone-a", [...linked(global), ...ports]);
    assert.equal(again.ready.fingerprint, zone.ready.fingerprint);
    assert.deepEqual(await kept(), before, "global is away: all this is from the store");
    await eventually("its proxy", 30_000, async () => {
      const [row] = await of.table("dataplanes", ...atZone);
      assert.match(String(row), /^default,backend-1,zone-a,backend,online since/);
    });
  });
});

test("a zone runs alone, without a global control plane", async (t) => {
  const of = await processes(t);
  const zone = await startZone(of, "zone-alone");
  await apply(zone, { type: "Mesh", name: "plain" });
  const token = await dataplaneToken(zone, "plain");
  const at = { mesh: "plain", name: "backend-1", service: "backend", address: "127.0.3.1" };
  const backend = await startInstance(of, zone, at, token);
  const { status, headers, text } = await get(`http://${backend.at.host}:${backend.at.port}/hello`);
  assert.deepEqual([status, headers.server, JSON.parse(text).instance], [200, "envoy", "backend-1"]);
});
