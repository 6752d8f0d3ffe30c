import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { get, startApp } from "../lab/http.ts";
import { eventually, lab, put, startProxy, startZone } from "../lab/lab.ts";
import { allowAll, dataplane, mesh } from "../lab/manifests.ts";

test("a request goes from one Envoy to another over mTLS; what nothing allows is denied", async (t) => {
  const own = await lab(t);
  const zone = await startZone(own, "zone-a");
  await put(zone.api, "/meshes/default", mesh("default"));
  const token = await zone.tokenFor("default");
  const app = await startApp("backend-1");
  own.atEnd(() => app.close());
  const out = await freePort();
  const at = { mesh: "default", appPort: app.port };
  await startProxy(
    own,
    zone,
    dataplane({
      ...at,
      name: "backend-1",
      service: "backend",
      address: "127.0.0.2",
      port: await freePort("127.0.0.2"),
    }),
    token,
  );
  await startProxy(
    own,
    zone,
    dataplane({
      ...at,
      name: "frontend-1",
      service: "frontend",
      address: "127.0.0.3",
      port: await freePort("127.0.0.3"),
      outbounds: { [out]: "backend" },
    }),
    token,
  );
  const answer = (status: number) =>
    eventually(`an answer ${status}`, 10_000, async () => {
      const found = await get(`http://127.0.0.1:${out}/hello`);
      assert.equal(found.status, status, found.text);
      return found;
    });

  await answer(403);
  await put(zone.api, "/meshes/default/meshtrafficpermissions/allow-all", allowAll("default"));
  const { text } = await answer(200);
  const { instance, headers } = JSON.parse(text);
  assert.equal(instance, "backend-1");
  assert.match(headers["x-forwarded-client-cert"], /URI=spiffe:\/\/default\/frontend/);
});
