// A19: a zone that has run alone is joined to a global: its control plane is started again with a join token, on the same data. Its
// proxies go on meanwhile, and what they brought appears on global.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { get } from "../lab/http.ts";
import { eventually } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { allowAll, mesh } from "../lab/manifests.ts";
import { noneFailed } from "../lab/soak.ts";
import {
  apply,
  dataplaneToken,
  joining,
  killControlPlane,
  processes,
  startGlobal,
  startInstance,
  startZone,
} from "../processes/processes.ts";

for (const [what, manifest] of [
  ["with mTLS", mesh("default")],
  ["in plain text", { type: "Mesh", name: "default" }],
] as const)
  test(`A19: a zone that runs alone is joined to a global, ${what}`, async (t) => {
    const of = await processes(t);
    const zone = await startZone(of, "zone-a");
    const resources = [manifest, allowAll("default")];
    await apply(zone, ...resources);
    const token = await dataplaneToken(zone);
    const out = await freePort();
    const outbounds = { [out]: "backend" };
    await startInstance(of, zone, { name: "backend", service: "backend", address: "127.0.4.1" }, token);
    await startInstance(of, zone, { name: "frontend", service: "frontend", address: "127.0.4.2", outbounds }, token);
    const url = `http://127.0.0.1:${out}`;
    await eventually("an answer", 30_000, async () => assert.equal((await get(url)).status, 200));

    const global = await startGlobal(of);
    await apply(global, ...resources);
    const calling = load(url, 2, true, 100);
    of.atEnd(calling.stop);
    const again = await killControlPlane(of, zone, ["zone", "--name", "zone-a"]);
    await again(...(await joining(global, "zone-a")));
    await eventually("its proxies on global", 60_000, async () => {
      const rows = await of.table("dataplanes", "--api", global.api);
      assert.deepEqual(
        rows
          .map((row) => String(row).replace(/-[a-z0-9]{16},| since.*/g, (found) => (found.endsWith(",") ? "," : "")))
          .sort(),
        ["default,backend,zone-a,backend,online", "default,frontend,zone-a,frontend,online"],
      );
    });
    noneFailed(t, `a zone that runs alone is joined to a global, ${what}`, await calling.stop());
  });
