// What a real Envoy makes of marks. Instances are marked when their proxies' streams end; here the proxies are not Envoys, so
// that what they stand before goes on answering, marked or not.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { relayTo } from "#host/relay-for-test.ts";
import { get, startApp } from "../lab/http.ts";
import { eventually, type Lab, lab, put, startProxy, startZone } from "../lab/lab.ts";
import { dataplane } from "../lab/manifests.ts";
import { startFakeProxy } from "../operations/fake-proxy.ts";

/** Answers with its name, over HTTP/2 as clients in a mesh speak it. */
async function startServer(of: Lab, name: string, address: string): Promise<number> {
  const server = createServer((_, response) => response.end(name));
  server.listen(0, address);
  await once(server, "listening");
  of.atEnd(async () => server.close());
  return (server.address() as AddressInfo).port;
}

test("of four instances three are marked: the fourth gets all; when that is marked, too, all get some", async (t) => {
  const of = await lab(t);
  const zone = await startZone(of, "zone-a");
  // Without mTLS: an instance is whoever listens there.
  await put(zone.api, "/meshes/default", { type: "Mesh", name: "default", skipCreatingInitialPolicies: ["*"] });
  const token = await zone.tokenFor("default");
  const start = async (name: string, service: string, address: string, port: number) => {
    const relay = await relayTo(zone.dpPort);
    of.atEnd(relay.close);
    const manifest = dataplane({ mesh: "default", name, service, address, port, appPort: port });
    // Written by a user: it stays when its proxy does not come back.
    await put(zone.api, `/meshes/default/dataplanes/${name}`, manifest);
    await startFakeProxy(of, zone, { mesh: "default", name }, token, relay.port);
    return relay;
  };
  const names = ["backend-1", "backend-2", "backend-3", "backend-4"];
  const streams = await Promise.all(
    names.map(async (name, i) => {
      const address = `127.0.8.${i + 1}`;
      return start(name, "backend", address, await startServer(of, name, address));
    }),
  );
  // More than the half of the streams that end together would be the control plane's loss, and mark nobody.
  await Promise.all([1, 2, 3, 4].map((i) => start(`bystander-${i}`, "bystander", `127.0.8.1${i}`, 80)));
  const out = await freePort();
  const app = await startApp("frontend");
  of.atEnd(() => app.close());
  const frontend = { mesh: "default", name: "frontend", service: "frontend", address: "127.0.8.100" };
  const port = await freePort(frontend.address);
  const manifest = dataplane({ ...frontend, port, appPort: app.port, outbounds: { [out]: "backend" } });
  const { admin } = await startProxy(of, zone, manifest, token);

  const marked = (count: number) =>
    eventually(`${count} endpoints marked`, 20_000, async () => {
      const said = await admin("/clusters");
      const found = names.map(
        (_, i) => new RegExp(`^backend::127\\.0\\.8\\.${i + 1}:\\d+::health_flags::(.*)$`, "m").exec(said)?.[1],
      );
      assert.deepEqual(
        found,
        names.map((_, i) => (i < count ? "/failed_eds_health" : "healthy")),
      );
    });
  /** Of forty requests one after the other. */
  const answering = async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 40; i++) {
      const { status, text } = await get(`http://127.0.0.1:${out}`);
      assert.equal(status, 200, text);
      seen.add(text);
    }
    return [...seen].sort();
  };

  await marked(0);
  await eventually("an answer", 20_000, answering);
  assert.deepEqual(await answering(), names);
  for (const relay of streams.slice(0, 3)) await relay.close();
  await marked(3);
  assert.deepEqual(await answering(), ["backend-4"]);
  await streams[3]?.close();
  await marked(4);
  assert.deepEqual(await answering(), names);
});
