// `kodiak run proxy`: what it starts from, what it does when Envoy dies, how it leaves.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { endProcess, startProcess } from "#agent/process.ts";
import { freePort } from "#host/free-port.ts";
import { request } from "#host/https.ts";
import type { JsonObject } from "#lib/json.ts";
import { envoy } from "../lab/envoy.ts";
import { get, getOverSocket } from "../lab/http.ts";
import { eventually } from "../lab/lab.ts";
import { allowAll, dataplane, mesh } from "../lab/manifests.ts";
import {
  apply,
  dataplaneToken,
  processes,
  type RunningProxy,
  startInstance,
  startProxy,
  startZone,
} from "./processes.ts";

const manifest = `
type: Dataplane
mesh: default
name: {{ name }}
networking:
  address: {{ address }}
  inbound:
    - port: {{ port }}
      serviceAddress: 127.0.0.1
      servicePort: {{ appPort }}
      tags: { kuma.io/service: backend, kuma.io/protocol: http }
`;

const bootstrapDump = z.object({
  bootstrap: z.object({ dynamic_resources: z.object({ ads_config: z.object({ api_type: z.string() }) }) }),
});
/** The form of discovery that its Envoy was started with. */
async function discoveryOf(admin: RunningProxy["admin"]): Promise<string> {
  const configs: readonly JsonObject[] = JSON.parse(await admin("/config_dump")).configs;
  const dump = configs.find((config) => String(config["@type"]).endsWith(".BootstrapConfigDump"));
  return bootstrapDump.parse(dump).bootstrap.dynamic_resources.ads_config.api_type;
}

test("data plane proxies", async (t) => {
  const of = await processes(t);
  const zone = await startZone(of, "zone-a");
  const atZone = ["--api", zone.api];
  await apply(zone, mesh("default"), allowAll("default"));
  const token = await dataplaneToken(zone);

  // An application that answers at once, and `/slow` when the test does.
  const slow = Promise.withResolvers<ServerResponse>();
  const app = createServer((asked, response) =>
    asked.url === "/slow" ? slow.resolve(response) : response.end("here"),
  );
  of.atEnd(async () => app.close().closeAllConnections());
  await once(app.listen(0, "127.0.0.1"), "listening");
  const appPort = (app.address() as AddressInfo).port;

  const [out, port] = await Promise.all([freePort(), freePort("127.0.4.2")]);
  const variables = { name: "backend-1", address: "127.0.4.2", port, appPort };
  const [backend, frontend] = await Promise.all([
    startProxy(of, zone, { type: "Dataplane", name: "backend-1" }, token, [
      ...["--dataplane", await of.file("backend.yaml", manifest)],
      ...Object.entries(variables).flatMap(([name, value]) => ["--var", `${name}=${value}`]),
    ]),
    startInstance(
      of,
      zone,
      { name: "frontend-1", service: "frontend", address: "127.0.4.1", outbounds: { [out]: "backend" } },
      token,
    ),
  ]);
  const url = `http://127.0.0.1:${out}`;
  const answered = (when: string) =>
    eventually(`an answer ${when}`, 20_000, async () => assert.equal((await get(url)).text, "here"));

  await t.test("a manifest with variables, and a bootstrap that is fetched and says DELTA_GRPC", async () => {
    await eventually("it is shown online", 20_000, async () => {
      const [row] = await of.table("dataplanes", ...atZone);
      assert.match(String(row), /^default,backend-1,zone-a,backend,online since/);
    });
    assert.equal(await discoveryOf(backend.admin), "DELTA_GRPC");
    await answered("through both proxies");
  });

  await t.test("stock kuma-dp is told DELTA_GRPC, too, and can hand it to Envoy untouched", async () => {
    const recorded = new URL("../recorded/dp-server/bootstrap-sidecar.json", import.meta.url);
    const asked = JSON.parse(await readFile(recorded, "utf8")).request;
    assert.ok(!asked.features.includes("feature-delta-grpc"), "it does not ask for it");
    // As it was recorded, but for what belongs to this place.
    const name = "stock-1";
    const workdir = await mkdtemp(join(of.folder, "stock-"));
    const ca = await readFile(join(zone.data, "server-certificate.pem"), "utf8");
    const at = { address: "127.0.4.3", port: await freePort("127.0.4.3") };
    const dataplaneResource = JSON.stringify(dataplane({ mesh: "default", name, service: "stock", appPort, ...at }));
    const answer = await request({
      url: `${zone.url}/bootstrap`,
      trust: { kind: "ca", ca },
      method: "POST",
      headers: { accept: "application/json", "content-type": "application/json" },
      body: JSON.stringify({ ...asked, name, workdir, caCert: ca, dataplaneToken: token, dataplaneResource }),
    });
    const body = Buffer.from(answer.body).toString();
    assert.equal(answer.status, 200, body);
    const bootstrap = join(workdir, "bootstrap.yaml");
    await writeFile(bootstrap, Buffer.from(JSON.parse(body).bootstrap, "base64"));

    const args = ["--config-path", bootstrap, "--disable-hot-restart", "--concurrency", "1", "--log-level", "off"];
    const running = await startProcess(await envoy(), args);
    of.atEnd(() => endProcess(running, 5_000, new AbortController().signal));
    const admin = (path: string) => getOverSocket(join(workdir, "kuma-envoy-admin.sock"), path);
    await eventually("its configuration", 20_000, async () => assert.equal(await admin("/ready"), "LIVE\n"));
    assert.equal(await discoveryOf(admin), "DELTA_GRPC");
    assert.ok((await admin("/listeners")).includes(`${at.address}:${at.port}`));
  });

  await t.test("an Envoy that is killed is started again and serves again", async () => {
    for (const { child } of [backend, frontend]) {
      const { pid } = await child.said(/^Envoy started$/);
      process.kill(Number(pid), "SIGKILL");
      await child.said(/^Envoy ended by SIGKILL; it is started again in/);
      await child.said(/^Envoy is ready again$/);
      await answered(`after the Envoy of ${child.name} was killed`);
    }
  });

  await t.test("SIGTERM: requests under way are finished, then it ends with 0", async () => {
    const answer = get(`${url}/slow`);
    const response = await slow.promise;
    const ended = backend.child.end();
    await backend.child.said(/^leaving/);
    response.end("finished");
    const { status, text } = await answer;
    assert.deepEqual([status, text], [200, "finished"]);
    assert.deepEqual(await ended, { code: 0, signal: undefined });
  });
});
