// Run by `called-by-name.test.ts` in a namespace of its own.

import assert from "node:assert/strict";
import { lookup } from "node:dns/promises";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { startApp } from "../lab/http.ts";
import { eventually, lab, startProxy } from "../lab/lab.ts";
import { dataplane } from "../lab/manifests.ts";
import { twoZones } from "../lab/two-zones.ts";
import { redirectHere } from "./namespace.ts";

test("an application calls http://backend.mesh, which runs in the other zone", async (t) => {
  const ports = { outbound: 15_001, dns: 15_053 };
  await redirectHere(ports, "198.51.100.1");
  const of = await lab(t);
  const { zoneA, zoneB, token, addBackend } = await twoZones(of);
  await addBackend(zoneB, "backend-b", "127.0.2.2");
  const app = await startApp("caller");
  of.atEnd(() => app.close());
  const caller = dataplane({
    ...{ mesh: "default", name: "caller", service: "caller", address: "127.0.1.9", appPort: app.port },
    port: await freePort("127.0.1.9"),
  });
  await startProxy(of, zoneA, caller, token, {
    ...{ inboundPort: 0, outboundPort: ports.outbound, dnsPort: ports.dns },
    resolvers: [],
  });
  const answer = await eventually("an answer of backend.mesh", 20_000, async () => {
    const response = await fetch("http://backend.mesh/hello");
    assert.equal(response.status, 200);
    return response.text();
  });
  assert.match(answer, /backend-b/);
  const { address } = await lookup("Backend.MESH", { family: 4 });
  assert.match(address, /^2[45]\d\./);
});
