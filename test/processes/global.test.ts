// The global control plane: what administrators, zones and lost proxies get from it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { DeltaDiscoveryRequestSchema } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { request } from "#host/https.ts";
import { grpcCode, type Status } from "#host/world.ts";
import type { JsonObject } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import { kinds } from "#resources/kinds.ts";
import { adsPath } from "#xds/server.ts";
import { eventually } from "../lab/lab.ts";
import { allowAll, dataplane, mesh } from "../lab/manifests.ts";
import {
  dataplaneToken,
  ingressToken,
  joining,
  processes,
  proxyArgs,
  startGlobal,
  startIngress,
  startInstance,
  startZone,
} from "./processes.ts";

const elsewhere =
  "this is the global control plane, which serves no proxies: give the address of the zone control plane of the proxy's zone, port 5678, as the control plane's address";
const timeout = {
  type: "MeshTimeout",
  mesh: "default",
  name: "slow",
  spec: { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: "1s" } }] },
};

/** What a kind must say, where that is anything. */
const mustSay: Readonly<Record<string, object>> = {
  HostnameGenerator: { template: "{{ .DisplayName }}.sample.local" },
  MeshExternalService: { match: { port: 9000 }, endpoints: [{ address: "192.0.2.1", port: 443 }] },
  MeshMultiZoneService: { selector: { meshService: { matchLabels: { team: "mesh" } } }, ports: [{ port: 80 }] },
  MeshTimeout: timeout.spec,
  MeshTrafficPermission: allowAll("default").spec,
  Role: { groups: ["team-a"], rules: [{ rights: ["read"] }] },
  MeshCircuitBreaker: {
    to: [{ targetRef: { kind: "Mesh" }, default: { connectionLimits: { maxConnections: 100 } } }],
  },
  MeshHealthCheck: { to: [{ targetRef: { kind: "Mesh" }, default: { tcp: {} } }] },
  ExternalService: { tags: { "kuma.io/service": "sample" }, networking: { address: "198.51.100.1:443" } },
  MeshGateway: {
    selectors: [{ match: { "kuma.io/service": "edge" } }],
    conf: { listeners: [{ port: 80, protocol: "HTTP" }] },
  },
  VirtualOutbound: {
    selectors: [{ match: { "kuma.io/service": "*" } }],
    conf: { host: "{{.service}}.mesh", port: "80", parameters: [{ name: "service", tagKey: "kuma.io/service" }] },
  },
};

/** Of each kind one that is valid, with members that nobody knows. */
function sampleOf({ name: type, scope, style }: Kind) {
  const name = "sample";
  const said = { ...mustSay[type], ...(type !== "Role" && { comesWith: { the: ["next", "version"] } }) };
  return {
    type,
    ...(scope === "Mesh" && { mesh: "default" }),
    name,
    ...(style === "spec" ? { spec: said } : mustSay[type]),
  };
}

test("the global control plane", async (t) => {
  const of = await processes(t);
  const global = await startGlobal(of);
  const [zoneA, zoneB] = await Promise.all([
    startZone(of, "zone-a", await joining(global, "zone-a")),
    startZone(of, "zone-b", await joining(global, "zone-b")),
  ]);
  const atGlobal = ["--api", global.api];
  const [token, zoneToken] = await Promise.all([dataplaneToken(global), ingressToken(global)]);
  const [, backend] = await Promise.all([
    startInstance(of, zoneA, { name: "frontend-1", service: "frontend", address: "127.0.1.1" }, token),
    startInstance(of, zoneB, { name: "backend-1", service: "backend", address: "127.0.2.1" }, token),
    startIngress(of, zoneB, "ingress-b", "127.0.2.2", zoneToken),
  ]);

  await t.test("its API creates, shows, lists, updates and deletes every kind that is written here", async () => {
    const call = async (method: string, path: string, body?: object) => {
      const headers = { "content-type": "application/json" };
      const answer = await fetch(global.api + path, { method, ...(body && { headers, body: JSON.stringify(body) }) });
      const json: JsonObject = JSON.parse(await answer.text());
      return { status: answer.status, json };
    };
    const written = kinds.filter(({ sync, readOnly, plural }) => sync.writtenOnGlobal && !readOnly && plural);
    assert.equal(written.length, 42);
    for (const kind of written) {
      const sample = sampleOf(kind);
      const list = `${kind.scope === "Mesh" ? "/meshes/default" : ""}/${kind.plural}`;
      const path = `${list}/${sample.name}`;
      const labels = { team: "mesh" };
      assert.equal((await call("PUT", path, sample)).status, 201, kind.name);
      assert.equal((await call("PUT", path, { ...sample, labels })).status, 200, kind.name);
      const { json } = await call("GET", path);
      assert.deepEqual({ ...json, ...sample, labels: { ...Object(json.labels), ...labels } }, json, kind.name);
      const { items } = (await call("GET", list)).json;
      assert.deepEqual(Array.isArray(items) && items.filter(({ name }: JsonObject) => name === sample.name), [json]);
      assert.equal((await call("DELETE", path)).status, 200, kind.name);
      assert.equal((await call("GET", path)).status, 404, kind.name);
    }
  });

  await t.test("`kodiak apply`, `get` and `delete`: policies reach the zones, and leave them", async () => {
    const documents = [mesh("default"), allowAll("default"), timeout, { ...timeout, type: "MeshTLS", name: "tls" }];
    const file = await of.file("policies.yaml", documents.map((document) => JSON.stringify(document)).join("\n---\n"));
    assert.deepEqual(await of.kodiak("apply", "-f", file, "--allow-unknown", ...atGlobal), {
      code: 0,
      out: [
        'Mesh "default" updated',
        'MeshTrafficPermission "allow-all" in mesh "default" created',
        'MeshTimeout "slow" in mesh "default" created',
        'MeshTLS "tls" in mesh "default" created\n',
      ].join("\n"),
      err: 'warning: MeshTLS "tls" in mesh "default": MeshTLS is stored and passed on; not acted on yet\n',
    });
    assert.match(await of.done("get", "meshtimeout", "slow", "-o", "yaml", ...atGlobal), /connectionTimeout: 1s\n/);
    // Beside those that come with a mesh.
    const namesAt = async (api: string) =>
      (await of.table("meshtimeouts", "--api", api)).flatMap(([, name = ""]) =>
        name.startsWith("slow") ? [name] : [],
      );
    assert.deepEqual(await namesAt(global.api), ["slow"]);
    for (const { api } of [zoneA, zoneB])
      await eventually("the policy in the zone", 10_000, async () =>
        assert.match(String(await namesAt(api)), /^slow-/),
      );
    const [[name, mtls] = []] = await of.table("meshes", "--api", zoneB.api);
    assert.deepEqual([name, mtls], ["default", "ca-1"]);

    const deleted = await of.done("delete", "meshtimeout", "slow", ...atGlobal);
    assert.equal(deleted, 'MeshTimeout "slow" in mesh "default" deleted\n');
    const gone = await of.kodiak("get", "meshtimeout", "slow", ...atGlobal);
    assert.match(`${gone.code} ${gone.err}`, /^1 error: MeshTimeout "slow" in mesh "default" does not exist/);
    await eventually("no policy in the zone", 10_000, async () => assert.deepEqual(await namesAt(zoneA.api), []));
  });

  await t.test("zones get the ingresses of other zones", async () => {
    await eventually("the ingress of zone-b in zone-a", 10_000, async () => {
      const [[name = "", zone] = [], ...more] = await of.table("zoneingresses", "--api", zoneA.api);
      assert.deepEqual([name.replace(/-[0-9a-z]+$/, ""), zone, more], ["ingress-b", "zone-b", []]);
    });
  });

  await t.test("it lists all proxies of all zones with online or offline since when", async () => {
    const proxiesOf = async (kind: string) =>
      (await of.table(kind, ...atGlobal)).map((row) =>
        row.map((cell) => cell.replace(/-[0-9a-z]{16}$/, "").replace(/\d+(s|m|h)/, "…")).join(),
      );
    const frontend = "default,frontend-1,zone-a,frontend,online since …";
    const backendIs = (what: string) => `default,backend-1,zone-b,backend,${what} since …`;
    await eventually("all of them online", 10_000, async () => {
      assert.deepEqual(await proxiesOf("dataplanes"), [backendIs("online"), frontend]);
      assert.match(String(await proxiesOf("zoneingresses")), /^ingress-b,zone-b,127.0.2.2:\d+,online since …$/);
      assert.deepEqual(await proxiesOf("zones"), ["zone-a,online since …", "zone-b,online since …"]);
    });
    // It stays in the list for 10 s.
    assert.equal((await backend.child.end()).code, 0);
    await eventually("an offline proxy", 8_000, async () =>
      assert.deepEqual(await proxiesOf("dataplanes"), [backendIs("offline"), frontend]),
    );
    await zoneB.child.end();
    await eventually("an offline zone", 10_000, async () => {
      const [zoneAIs = "", zoneBIs = "", ...others] = await proxiesOf("zones");
      assert.match(zoneAIs, /^zone-a,online since …(,-)+$/);
      // What the end of its proxy has changed may have been on its way.
      assert.match(zoneBIs, /^zone-b,offline since …(,\d+ objects? for …, away)?,for …$/);
      assert.deepEqual(others, []);
    });
  });

  await t.test("a proxy that comes here is told where to go", async () => {
    const { ready, trust } = global;
    const lost = dataplane({
      mesh: "default",
      name: "lost",
      service: "web",
      address: "127.0.1.9",
      port: 80,
      appPort: 81,
    });
    const url = `https://127.0.0.1:${ready.dpPort}`;
    assert.deepEqual(await of.kodiak(...(await proxyArgs(of, { url, trust }, lost, token))), {
      code: 1,
      out: "",
      err: `error: ${url} refuses this proxy: ${elsewhere}\n`,
    });

    const skip = { kind: "skip-verify" } as const;
    const { status, body } = await request({ url: `${url}/bootstrap`, trust: skip, method: "POST", body: "{}" });
    assert.deepEqual([status, Buffer.from(body).toString()], [403, elsewhere]);
    const connection = of.world.network.dial({ host: "127.0.0.1", port: Number(ready.dpPort), trust: skip });
    of.atEnd(async () => connection.close());
    await connection.ready;
    const ended = await new Promise<Status>((resolve) => {
      const stream = connection.stream(adsPath, { headers: { authorization: token } });
      stream.onMessage(() => {});
      stream.onEnd(resolve);
      const first = create(DeltaDiscoveryRequestSchema, { node: { id: "default.lost" } });
      stream.send([toBinary(DeltaDiscoveryRequestSchema, first)]);
    });
    assert.deepEqual(ended, { code: grpcCode.permissionDenied, message: elsewhere });
  });

  await t.test("a zone without a certificate is refused with a sentence", async () => {
    const at = ["--global", `grpcs://127.0.0.1:${global.ready.kdsPort}`, ...global.trust];
    const zoneC = await startZone(of, "zone-c", at);
    const { why } = await zoneC.child.said(/^no connection to global/);
    assert.equal(
      why,
      'zone "zone-c" shows no certificate: start it with --join-token, from `kodiak token join --zone zone-c`; a zone of a Kuma is let in by --allow-unauthenticated-zones of global',
    );
    const [zones, refusal] = await Promise.all([of.table("zones", ...atGlobal), global.child.said(/^refused a zone$/)]);
    assert.deepEqual(
      zones.map(([name]) => name),
      ["zone-a", "zone-b"],
    );
    assert.equal(refusal.reason, why);
  });
});
