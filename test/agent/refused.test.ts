// A token that is refused ends a proxy that has not served yet (`test/cli/wrong-inputs`). One that serves goes on: its Envoy has
// all it needs, and the token may come right.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runProxy } from "#agent/run-proxy.ts";
import { freePort } from "#host/free-port.ts";
import { dataplaneTokenKeys, latestSigningKey } from "#identity/signing-key.ts";
import { issueDataplaneToken } from "#identity/tokens.ts";
import { kindNamed } from "#resources/kinds.ts";
import { fromRest } from "#resources/rest.ts";
import { firstRequest, stream } from "../cli/wrong-inputs/asked-by-hand.ts";
import { envoy } from "../lab/envoy.ts";
import { lab, put, startZone } from "../lab/lab.ts";
import { dataplane } from "../lab/manifests.ts";
import { recordingLog } from "./recording-log.ts";

test("a proxy that serves goes on when its token is revoked", async (t) => {
  const of = await lab(t);
  const zone = await startZone(of, "zone-a");
  await zone.tokenFor("default");
  const key = latestSigningKey(dataplaneTokenKeys("default"), zone.store.list("Secret"))!;
  const claims = { name: "web", mesh: "default", tags: {}, type: "", workload: "" };
  const token = (tokenId: string) =>
    issueDataplaneToken(claims, key, { tokenId, now: of.world.clock.now(), validForMs: 3_600_000 });

  const manifest = dataplane({
    mesh: "default",
    name: "web",
    service: "web",
    address: "127.0.0.9",
    port: await freePort("127.0.0.9"),
    appPort: 1,
  });
  const url = `https://127.0.0.1:${zone.dpPort}`;
  const log = recordingLog();
  const [leave, now] = [new AbortController(), new AbortController()];
  const code = runProxy(
    {
      resource: fromRest(kindNamed("Dataplane"), manifest).resource,
      controlPlane: { url, trust: { kind: "ca", ca: zone.certificate }, token: await token("first") },
      envoyPath: await envoy(),
      envoyLogLevel: "warning",
      concurrency: 1,
      drainTimeMs: 1000,
      readinessPort: 0,
      version: "test",
    },
    log,
    { leave: leave.signal, now: now.signal },
  );
  of.atEnd(async () => {
    leave.abort();
    now.abort();
    await code;
  });
  const ready = await log.next(/is ready$/);

  const data = Buffer.from("first").toString("base64");
  const revocations = "dataplane-token-revocations-default";
  await put(zone.api, `/global-secrets/${revocations}`, { type: "GlobalSecret", name: revocations, data });
  // A newer stream of the same proxy ends that of its Envoy, which has to come again.
  const body = { mesh: "default", name: "web", dataplaneTokenPath: "token", dataplaneResource: manifest };
  const first = await firstRequest({ dp: { zone: url, global: "" } }, body);
  assert.match(String(await stream(of, zone.dpPort, first, await token("second"))), /Cluster$/);

  const refused = /^Envoy: the control plane refuses this proxy: authentication failed: token is revoked/;
  await log.next(refused);
  // For longer than one that has not served would be let.
  for (const since = Date.now(); Date.now() - since < 2500; ) await log.next(refused);
  const answer = await fetch(`http://127.0.0.1:${ready.fields.readinessPort}/ready`);
  assert.equal(answer.status, 200);
  leave.abort();
  assert.equal(await code, 0);
});
