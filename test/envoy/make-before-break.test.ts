// A route moves to new clusters, and a cluster changes, while requests go on: no request fails, each change is soon in force.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { get, startApp } from "../lab/http.ts";
import { eventually, type Lab, lab, patience, put, startProxy, startZone } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { allowAll, dataplane, mesh } from "../lab/manifests.ts";
import { noneFailed, times } from "../lab/soak.ts";

const changes = times(200, 1000);
/** An Envoy's tags do not grow with the number of moves: a cluster that was left long ago is new again. */
const names = 200;
const inForceMs = 1000 * patience;

/** Two instances; each carries a tag `move-<i>` for every second move, so that each move leads to a cluster that is new. */
async function stage(own: Lab) {
  const zone = await startZone(own, "zone-a");
  await put(zone.api, "/meshes/default", mesh("default"));
  await put(zone.api, "/meshes/default/meshtrafficpermissions/allow-all", allowAll("default"));
  const token = await zone.tokenFor("default");
  const out = await freePort();
  const start = async (name: string, service: string, address: string, rest: object) => {
    const app = await startApp(name);
    own.atEnd(() => app.close());
    const port = await freePort(address);
    const at = { mesh: "default", name, service, address, port, appPort: app.port };
    return startProxy(own, zone, dataplane({ ...at, ...rest }), token);
  };
  const tagsOf = (parity: number) =>
    Object.fromEntries(
      Array.from({ length: names }, (_, i) => [`move-${i}`, "yes"] as const).filter((_, i) => i % 2 === parity),
    );
  await start("backend-0", "backend", "127.0.0.2", { tags: tagsOf(0) });
  await start("backend-1", "backend", "127.0.0.3", { tags: tagsOf(1) });
  const frontend = await start("frontend", "frontend", "127.0.0.4", { outbounds: { [out]: "backend" } });
  const url = `http://127.0.0.1:${out}/`;
  await eventually("a first answer", 20_000, async () => assert.equal((await get(url)).status, 200));
  return { zone, url, frontend };
}

async function inForce(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const start = performance.now();
  while (!(await isSo()))
    assert.ok(performance.now() - start < inForceMs, `${what}: not in force within ${inForceMs} ms`);
}

test(`a route moves ${changes} times to a new cluster: no request fails`, async (t) => {
  const own = await lab(t);
  const { zone, url } = await stage(own);
  const calling = load(url);
  own.atEnd(calling.stop);
  for (let i = 0; i < changes; i++) {
    const tags = { [`move-${i % names}`]: "yes" };
    await put(zone.api, "/meshes/default/meshhttproutes/move", {
      type: "MeshHTTPRoute",
      mesh: "default",
      name: "move",
      spec: {
        to: [
          {
            targetRef: { kind: "MeshService", name: "backend" },
            rules: [
              {
                matches: [{ path: { type: "PathPrefix", value: "/" } }],
                default: {
                  backendRefs: [{ kind: "MeshServiceSubset", name: "backend", tags, weight: 1 }],
                  filters: [
                    {
                      type: "ResponseHeaderModifier",
                      responseHeaderModifier: { set: [{ name: "x-move", value: `${i}` }] },
                    },
                  ],
                },
              },
            ],
          },
        ],
      },
    });
    await inForce(`move ${i}`, async () => {
      const { headers, text } = await get(url);
      if (headers["x-move"] !== `${i}`) return false;
      assert.equal(JSON.parse(text).instance, `backend-${i % 2}`);
      return true;
    });
  }
  noneFailed(t, `a route moves to a new cluster, ${changes} times`, await calling.stop());
});

test(`a cluster's timeout changes ${changes} times: no request fails`, async (t) => {
  const own = await lab(t);
  const { zone, url, frontend } = await stage(own);
  const calling = load(url);
  own.atEnd(calling.stop);
  for (let i = 0; i < changes; i++) {
    await put(zone.api, "/meshes/default/meshtimeouts/change", {
      type: "MeshTimeout",
      mesh: "default",
      name: "change",
      spec: {
        to: [
          {
            targetRef: { kind: "MeshService", name: "backend" },
            default: { connectionTimeout: `${1001 + i}ms` },
          },
        ],
      },
    });
    // Active is what takes requests; a cluster that still warms is listed apart.
    await inForce(`change ${i}`, async () => {
      const dump = await frontend.admin("/config_dump?resource=dynamic_active_clusters&name_regex=^backend$");
      return dump.includes(`"connect_timeout": "${((1001 + i) / 1000).toFixed(3).replace(".000", "")}s"`);
    });
  }
  noneFailed(t, `a cluster's timeout changes, ${changes} times`, await calling.stop());
});
