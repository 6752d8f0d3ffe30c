// `kodiak run ingress`: the one way into a zone, which opens no TLS and leads to this zone's instances only. `kodiak run egress`: the
// one way out, where a mesh wants it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import type { JsonObject } from "#lib/json.ts";
import { get } from "../lab/http.ts";
import { eventually } from "../lab/lab.ts";
import { allowAll, egressMesh, mesh, zoneEgress } from "../lab/manifests.ts";
import { handshake } from "../lab/openssl.ts";
import {
  apply,
  dataplaneToken,
  ingressToken,
  joining,
  processes,
  startGlobal,
  startIngress,
  startInstance,
  startProxy,
  startZone,
  tokenOf,
} from "./processes.ts";

// Addresses say where something is: 127.0.1x.… in zone-a, 127.0.2x.… in zone-b, a zone's ingress beside its instances.
const instances = { "zone-a": "127.0.11", "zone-b": "127.0.21" };
const ingresses = { "zone-a": "127.0.12.1", "zone-b": "127.0.22.1" };

test("zone ingresses", async (t) => {
  const of = await processes(t);
  const global = await startGlobal(of);
  const [zoneA, zoneB, token, zoneToken] = await Promise.all([
    startZone(of, "zone-a", await joining(global, "zone-a")),
    startZone(of, "zone-b", await joining(global, "zone-b")),
    dataplaneToken(global),
    ingressToken(global),
    apply(global, mesh("default"), allowAll("default")),
  ]);
  const out = await freePort();
  const instance = (zone: typeof zoneA, service: string, address: string, outbounds = {}) =>
    startInstance(of, zone, { name: `${service}-${address.at(-1)}`, service, address, outbounds }, token);
  const [frontend, backend1, backend2, ingressA, ingressB] = await Promise.all([
    instance(zoneA, "frontend", `${instances["zone-a"]}.3`, { [out]: "backend" }),
    instance(zoneA, "backend", `${instances["zone-a"]}.1`),
    instance(zoneB, "backend", `${instances["zone-b"]}.2`),
    startIngress(of, zoneA, "ingress-a", ingresses["zone-a"], zoneToken),
    startIngress(of, zoneB, "ingress-b", ingresses["zone-b"], zoneToken),
  ]);
  const seen = new Set<string>();
  await eventually("answers of both zones", 20_000, async () => {
    const { status, text } = await get(`http://127.0.0.1:${out}/`);
    assert.equal(status, 200, text);
    seen.add(JSON.parse(text).instance);
    assert.deepEqual([...seen].sort(), ["backend-1", "backend-2"]);
  });

  await t.test("traffic between zones goes through the ingress, which knows no certificate and no secret", async () => {
    assert.match(await ingressB.admin("/stats?filter=^cluster.default_backend.upstream_cx_total$"), /: [1-9]/);
    const { configs } = JSON.parse(await ingressB.admin("/config_dump"));
    const received = configs.flatMap((config: JsonObject) =>
      Object.entries(config).filter(([part]) => part.startsWith("dynamic_")),
    );
    assert.deepEqual(received.map(([part]: [string]) => part).sort(), ["dynamic_active_clusters", "dynamic_listeners"]);
    assert.doesNotMatch(JSON.stringify(received), /secret|certificate|tls_context|BEGIN/i);
    // Its bootstrap gave it the certificate by which it knows its control plane; there is none to show, and no key.
    const { certificates } = JSON.parse(await ingressB.admin("/certs"));
    assert.deepEqual(
      certificates.flatMap((one: JsonObject) => one.cert_chain),
      [],
    );
    assert.doesNotMatch(JSON.stringify(configs), /private_key|certificate_chain/);
  });

  await t.test("no address of another zone's instances is in any proxy's configuration", async () => {
    const proxies = { "zone-a": { frontend, backend1, ingressA }, "zone-b": { backend2, ingressB } };
    for (const [zone, other] of [
      ["zone-a", "zone-b"],
      ["zone-b", "zone-a"],
    ] as const)
      for (const [name, proxy] of Object.entries(proxies[zone])) {
        const known = `${await proxy.admin("/config_dump?include_eds")} ${await proxy.admin("/clusters")}`;
        assert.ok(known.includes(`${instances[zone]}.`), `${name} knows instances of its own zone`);
        assert.ok(!known.includes(`${instances[other]}.`), `${name} knows instances of ${other}`);
      }
    assert.ok((await frontend.admin("/clusters")).includes(ingresses["zone-b"]), "the ingress is known");
  });

  await t.test("it takes the SNI of a local service and nothing else", async () => {
    const shown = ({ at }: typeof ingressB, args: readonly string[]) => handshake(at, args);
    const sni = (service: string, inMesh = "default") => ["-servername", `${service}{mesh=${inMesh}}`];
    assert.match(await shown(ingressB, sni("backend")), /BEGIN CERTIFICATE/, "an instance's own certificate");
    assert.match(await shown(ingressA, sni("frontend")), /BEGIN CERTIFICATE/, "a service of zone-a alone, in zone-a");
    const refused = {
      "no SNI": ["-noservername"],
      "an unknown service": sni("nobody"),
      "another mesh": sni("backend", "other"),
      "a service of the other zone": sni("frontend"),
    };
    for (const [what, args] of Object.entries(refused)) {
      const text = await shown(ingressB, args);
      assert.match(text, /CONNECTED/, what);
      assert.match(text, /no peer certificate available/, what);
    }
    const asked = async (host: string) => {
      const { status, text } = await get(`http://${ingressB.at.host}:${ingressB.at.port}/`, { host });
      return [status, text];
    };
    assert.deepEqual(await asked("backend"), [404, ""], "plain HTTP");
    assert.deepEqual(await asked("zone-a.probe.kodiak"), [404, ""], "another zone's probe");
    assert.deepEqual(await asked("zone-b.probe.kodiak"), [200, ""], "its own");
  });

  await t.test("an egress is the way out", async () => {
    const at = { address: "127.0.12.2", port: await freePort("127.0.12.2") };
    const manifest = zoneEgress("egress-a", at.address, at.port);
    await apply(global, egressMesh("default"));
    const egressToken = await tokenOf(global, "zone", { scope: ["egress"] });
    const egress = await startProxy(of, zoneA, manifest, egressToken);
    const known = async (from: typeof zoneA | typeof global) =>
      (await of.table("zoneegresses", "--api", from.api)).flat();
    for (const from of [zoneA, global])
      await eventually("an egress that is online", 10_000, async () => {
        const [name = "", zone, address, status = ""] = await known(from);
        // On global its name ends with a hash.
        assert.match(name, /^egress-a/);
        assert.deepEqual([zone, address], ["zone-a", `${at.address}:${at.port}`]);
        assert.match(status, /^online/);
      });
    await eventually("answers of the other zone through it", 10_000, async () => {
      const { status, text } = await get(`http://127.0.0.1:${out}/`);
      assert.equal(status, 200, text);
      assert.match(await egress.admin("/stats?filter=zone_zone-b.upstream_cx_total"), /: [1-9]/);
    });
    assert.deepEqual(await egress.child.end(), { code: 0, signal: undefined });
    await apply(global, mesh("default"));
  });

  await t.test("SIGTERM: it ends with 0, and the other zone has its own instances to go to", async () => {
    assert.deepEqual(await ingressB.child.end(), { code: 0, signal: undefined });
    for (let i = 0; i < 100; i++) {
      const { status, text } = await get(`http://127.0.0.1:${out}/`);
      assert.equal(status, 200, text);
    }
    await eventually("no ingress of zone-b in zone-a", 10_000, async () =>
      assert.deepEqual(await of.table("zoneingresses", "--api", zoneA.api).then((rows) => rows.length), 1),
    );
  });
});
