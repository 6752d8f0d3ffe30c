// What whoever runs a control plane meets: is it alive, is it ready, what does it do, what does it log, and how does it end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type IncomingHttpHeaders } from "node:http2";
import { join } from "node:path";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { adsPath } from "#xds/server.ts";
import { get } from "../lab/http.ts";
import { eventually, put } from "../lab/lab.ts";
import { dataplane } from "../lab/manifests.ts";
import {
  apply,
  type ControlPlane,
  dataplaneToken,
  joining,
  processes,
  startGlobal,
  startInstance,
  startZone,
} from "../processes/processes.ts";

const at = ({ ready }: ControlPlane, path: string): string => `http://127.0.0.1:${ready.diagnosticsPort}${path}`;

/** All samples, `name{labels}` → value. */
async function metricsOf(of: ControlPlane): Promise<ReadonlyMap<string, number>> {
  const { text } = await get(at(of, "/metrics"));
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
}

async function isReady(of: ControlPlane): Promise<void> {
  const { status, text } = await get(at(of, "/ready"));
  assert.equal(status, 200, text);
}

test("control planes, as whoever runs them meets them", async (t) => {
  const of = await processes(t);
  const global = await startGlobal(of);
  await apply(global, { type: "Mesh", name: "default" });
  const nowhere = `grpcs://127.0.0.1:${await freePort()}`;
  const begun = Date.now();
  const lonely = await startZone(of, "zone-b", ["--global", nowhere, "--tls-skip-verify"]);

  // For ten seconds from its start.
  await t.test("one whose global is away waits for it, and says so", async () => {
    const { status, text } = await get(at(lonely, "/ready"));
    assert.deepEqual([status, text], [503, "not ready: waiting for the first sync with global\n"]);
    assert.equal((await get(at(lonely, "/healthy"))).status, 200);
  });

  let zone = await startZone(of, "zone-a", await joining(global, "zone-a"));

  await t.test("one that has heard from global what there is is ready", async () => {
    await eventually("ready", 9_000, () => isReady(zone));
    assert.match((await get(`${zone.api}/meshes`)).text, /"default"/);
    await isReady(global);
  });

  await t.test("so is one that is back, and hears only what is new", async () => {
    assert.equal((await zone.child.end()).code, 0);
    zone = await startZone(of, "zone-a", await joining(global, "zone-a"));
    await eventually("ready", 9_000, () => isReady(zone));
  });

  await t.test("metrics tell what it does", async () => {
    const address = "127.0.8.1";
    await startInstance(of, zone, { name: "backend-1", service: "backend", address }, await dataplaneToken(global));
    const one = (metrics: ReadonlyMap<string, number>, name: string): number => {
      const value = metrics.get(name);
      if (value === undefined) throw new Error(`no ${name}`);
      return value;
    };
    await eventually("acknowledgements", 10_000, async () => {
      const [atZone, atGlobal] = [await metricsOf(zone), await metricsOf(global)];
      const ads = `{method="${adsPath.slice(1)}"}`;
      assert.equal(one(atZone, "kodiak_connected_proxies"), 1);
      assert.equal(one(atZone, `kodiak_grpc_streams${ads}`), 1);
      assert.ok(one(atZone, `kodiak_grpc_sent_bytes_total${ads}`) > 1_000);
      for (const type of ["cluster", "listener"].map((name) => `{type="${name}"}`)) {
        assert.ok(one(atZone, `kodiak_xds_pushes_total${type}`) > 0, type);
        assert.equal(one(atZone, `kodiak_xds_acks_total${type}`), one(atZone, `kodiak_xds_pushes_total${type}`));
        assert.equal(one(atZone, `kodiak_xds_nacks_total${type}`), 0);
      }
      assert.equal(one(atZone, 'kodiak_store_resources{kind="Dataplane"}'), 1);
      assert.ok(one(atZone, "kodiak_store_commit_seconds_count") > 1);
      assert.ok([...atZone.keys()].some((name) => name.startsWith("kodiak_recomputed_keys_total{")));
      assert.ok(one(atZone, 'kodiak_kds_acks_total{kind="Dataplane"}') >= 1);
      assert.deepEqual([one(atZone, "kodiak_frozen_zones"), one(atGlobal, "kodiak_frozen_zones")], [0, 0]);
      assert.ok(one(atGlobal, 'kodiak_kds_pushes_total{kind="Mesh"}') >= 1);
      assert.ok(one(atGlobal, 'kodiak_kds_received_total{kind="Dataplane"}') >= 1);
    });
  });

  await t.test("its log level changes while it runs, for one component", async () => {
    const change = async (level: string) => {
      const body = JSON.stringify({ component: "api", level });
      assert.equal((await fetch(at(zone, "/logging"), { method: "PUT", body })).status, 200);
    };
    const path = "/meshes/default/dataplanes/web";
    const web = dataplane({
      mesh: "default",
      name: "web",
      service: "web",
      address: "127.0.8.2",
      port: 80,
      appPort: 81,
    });
    await change("error");
    await put(zone.api, path, web);
    await change("info");
    const logged = zone.child.said(/changed through the API/);
    await put(zone.api, path, { ...web, labels: { a: "b" } });
    await logged;
    // The file is written behind what was said.
    const inFile = await eventually("the change in the file", 5_000, async () => {
      const lines = (await readFile(join(of.folder, "zone-a.log"), "utf8")).split("\n");
      const found = lines.filter((line) => line.includes(path));
      assert.ok(found.some((line) => line.includes("changed through the API")));
      return found;
    });
    assert.equal(inFile.length, 1, "only the second change is in the log");
  });

  await t.test(
    "on SIGTERM global says that it goes, and the zone tries again after a short and random while",
    async () => {
      const lost = zone.child.said(/no connection to global/);
      assert.equal((await global.child.end()).code, 0);
      const { why, waitMs } = await lost;
      assert.equal(why, "stream unavailable");
      assert.ok(Number(waitMs) >= 50 && Number(waitMs) <= 100, `${waitMs} ms`);
      await isReady(zone);
    },
  );

  await t.test(
    "on SIGTERM each stream is told, the connection ends in good order, and the process with 0",
    async () => {
      const session = connect(lonely.url, { rejectUnauthorized: false });
      session.on("error", () => {});
      t.after(() => session.destroy());
      const goaway = once(session, "goaway");
      const closed = once(session, "close");
      const request = { ":method": "POST", ":path": adsPath, "content-type": "application/grpc", te: "trailers" };
      const ends = [1, 2, 3].map(async () => {
        const stream = session.request(request).resume();
        const [headers]: IncomingHttpHeaders[] = await once(stream, "response");
        return [headers?.["grpc-status"], headers?.["grpc-message"]];
      });
      await eventually("streams", 5_000, async () => {
        const metrics = await metricsOf(lonely);
        assert.equal(metrics.get(`kodiak_grpc_streams{method="${adsPath.slice(1)}"}`), 3);
      });
      await lonely.child.said(/nothing complete from global for 10 s: ready with what is stored/);
      assert.ok(Date.now() - begun >= 10_000);
      await isReady(lonely);

      const ended = lonely.child.end();
      const unavailable = ["14", "the control plane is shutting down"];
      assert.deepEqual(await Promise.all(ends), [unavailable, unavailable, unavailable]);
      const [code] = await goaway;
      assert.equal(code, 0);
      await closed;
      assert.equal((await ended).code, 0);
    },
  );

  await t.test("logs are for people where that is asked for", async () => {
    const taken = String(zone.ready.dpPort);
    const ports = ["--address", "127.0.0.1", "--kds-port", taken, "--dp-port", "0", "--api-port", "0"];
    const { out } = await of.kodiak(
      "run",
      "global",
      "--store",
      "memory",
      "--data",
      of.folder,
      ...ports,
      "--log-format",
      "text",
      "--allow-unauthenticated-zones",
      "kuma-1",
    );
    assert.match(out, /^\S+Z WARN {2}WHOEVER REACHES THE PORT FOR ZONES CAN CLAIM TO BE .*zones=\["kuma-1"\]\n/);
  });
});
