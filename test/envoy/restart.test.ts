import assert from "node:assert/strict";
import { test } from "node:test";
import { announceLeave } from "#agent/control-plane.ts";
import { openLog } from "#host/log.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { get } from "../lab/http.ts";
import { eventually, lab } from "../lab/lab.ts";
import { oneZone } from "../lab/one-zone.ts";

test("an Envoy that is killed is started again and serves again, at the client and at the server", async (t) => {
  const own = await lab(t);
  const stage = await oneZone(own);
  const backend = await stage.addBackend("backend-1", "127.0.0.2");
  const answered = (when: string) =>
    eventually(`an answer ${when}`, 20_000, async () => assert.equal((await get(stage.url)).status, 200));
  await answered("at first");
  for (const [what, proxy] of Object.entries({ backend, frontend: stage.frontend })) {
    const killed = await proxy.envoyPid();
    process.kill(killed, "SIGKILL");
    await eventually(`another Envoy of ${what}`, 20_000, async () => assert.notEqual(await proxy.envoyPid(), killed));
    await answered(`after the Envoy of ${what} was killed`);
  }
});

test("one that has said that it leaves gets no traffic again by a new stream, only by a new start", async (t) => {
  const own = await lab(t);
  const { zone, addBackend } = await oneZone(own);
  const first = await addBackend("backend-1", "127.0.0.2");
  const name = { mesh: "default", name: "backend-1", proxyType: "dataplane" } as const;
  const has = async (state: string | undefined) => {
    const stored = zone.store.get({ kind: "Dataplane", mesh: "default", name: "backend-1" });
    assert.ok(stored);
    assert.equal(asDataplane(stored).spec.networking?.inbound?.[0]?.state, state);
  };
  const isReady = async () => assert.equal(await first.admin("/ready"), "LIVE\n");
  await eventually("an Envoy that is ready", 20_000, isReady);
  await has(undefined);

  const url = `https://127.0.0.1:${zone.dpPort}`;
  const trust = { kind: "ca", ca: zone.certificate } as const;
  await announceLeave({ url, trust, token: await zone.tokenFor("default") }, name, 5_000, openLog("silent"));
  await has("NotReady");
  const killed = await first.envoyPid();
  process.kill(killed, "SIGKILL");
  await eventually("another Envoy", 20_000, async () => assert.notEqual(await first.envoyPid(), killed));
  await eventually("an Envoy that is ready again", 20_000, isReady);
  await has("NotReady");

  await first.leave();
  await addBackend("backend-1", "127.0.0.2");
  await eventually("one that takes traffic", 20_000, () => has(undefined));
});
