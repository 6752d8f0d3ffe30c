// MeshTrafficPermission of global, enforced in the other zone: a caller is known by its own certificate, not by the ingress.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import type { Line } from "../agent/recording-log.ts";
import { lab, put, remove, startProxy } from "../lab/lab.ts";
import { dataplane } from "../lab/manifests.ts";
import { twoZones } from "../lab/two-zones.ts";
import { answers, exchange, listening, soon } from "./stage.ts";

test("callers of another zone are denied, let through and shadow-denied by who they are, over HTTP and TCP", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own);
  const backend = await stage.addBackend(stage.zoneB, "backend-b", "127.0.2.2");
  const start = async (zone: typeof stage.zoneA, name: string, address: string, more: object) => {
    const port = await freePort(address);
    const manifest = dataplane({
      mesh: "default",
      name,
      service: name,
      address,
      port,
      appPort: backend.app.port,
      ...more,
    });
    return startProxy(own, zone, manifest, stage.token);
  };
  const appPort = await listening(
    own,
    createServer((socket) => socket.on("error", () => {}).pipe(socket)),
  );
  const echo = await start(stage.zoneB, "echo", "127.0.2.3", { protocol: "tcp", appPort });
  const [toBackend, toEcho] = [await freePort(), await freePort()];
  await start(stage.zoneA, "caller", "127.0.1.4", { outbounds: { [toBackend]: "backend", [toEcho]: "echo" } });
  const url = `http://127.0.0.1:${toBackend}`;
  const echoes = (expected: string) =>
    soon(`"${expected}" of echo`, async () => {
      const { received } = await exchange({ port: toEcho }, "hello", (text) => text === "hello");
      assert.equal(received, expected);
    });
  const told = (lines: readonly Line[], message: string, policy: string) =>
    soon(`${message} ${policy}`, async () => {
      const found = lines.find((line) => line.message === message && line.fields.policy === policy);
      assert.ok(found, JSON.stringify(lines));
      assert.equal(found.fields.caller, "spiffe://default/caller");
    });

  await answers(url, 200);
  await echoes("hello");

  // Its name makes it win over allow-all: both are for the whole mesh.
  const path = "/meshes/default/meshtrafficpermissions/a-caller";
  const say = (action: string) =>
    put(stage.global.api, path, {
      type: "MeshTrafficPermission",
      mesh: "default",
      name: "a-caller",
      spec: { from: [{ targetRef: { kind: "MeshService", name: "caller" }, default: { action } }] },
    });
  await say("Deny");
  await answers(url, 403);
  await echoes("");
  // Another caller from the same zone, through the same ingress.
  await answers(stage.url, 200);
  const kri = "kri_mtp_default___a-caller_";
  await told(backend.lines, "denied a request: by permission", kri);
  await told(echo.lines, "denied a connection: by permission", kri);

  await say("AllowWithShadowDeny");
  await answers(url, 200);
  await echoes("hello");
  const wouldBe = "that AllowWithShadowDeny would deny";
  await told(backend.lines, `let through a request ${wouldBe}`, kri);
  await told(echo.lines, `let through a connection ${wouldBe}`, kri);

  await remove(stage.global.api, path);
  await remove(stage.global.api, "/meshes/default/meshtrafficpermissions/allow-all");
  await answers(url, 403);
  await echoes("");
  await told(backend.lines, "denied a request: no MeshTrafficPermission allows it", "none");
  await told(echo.lines, "denied a connection: no MeshTrafficPermission allows it", "none");
});
