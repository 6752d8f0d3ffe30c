import assert from "node:assert/strict";
import { test } from "node:test";
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
