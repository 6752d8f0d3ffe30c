// The link between two zones, whose hosts have networks of their own, is cut, blackholed, slowed and mended while a redirected application
// calls by name what both zones have: no request fails, and the other zone is back when the link is.

import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../lab/lab.ts";
import { noneFailed, times } from "../lab/soak.ts";
import { openStage, type Stage } from "./stage.ts";

const url = "http://backend.mesh";

/** Several at a time, and not more than so many in a second, as each has a connection of its own to the proxy. */
function calling({ web }: Stage) {
  const failures: string[] = [];
  let [sent, isStopped] = [0, false];
  const start = performance.now();
  const worker = async () => {
    while (!isStopped) {
      const early = start + sent++ * 20 - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      const failure = await web.app.get(url).then(
        ({ status, text }) => (status === 200 ? undefined : `${status} ${text}`),
        (error: unknown) => String(error),
      );
      if (failure !== undefined) failures.push(failure);
    }
  };
  const done = Promise.all([worker(), worker(), worker(), worker()]);
  return {
    sent: () => sent,
    async stop() {
      isStopped = true;
      await done;
      return { sent, failures };
    },
  };
}

test("the link between two zones is lost and mended", async (t) => {
  const stage = await openStage(t, { isBackendInBoth: true });
  const { net, web } = stage;
  const answering = (...names: readonly string[]) =>
    eventually(`answers of ${names.join(" and ")}`, 60_000, async () => {
      const found = new Set<string>();
      for (let i = 0; i < 20; i++) found.add(JSON.parse((await web.app.get(url)).text).instance);
      assert.deepEqual([...found].sort(), names);
    });
  const zones = ["zone-a", "zone-b"] as const;
  const faults = {
    cut: { lose: () => net.cut(...zones), left: ["backend-a"] },
    blackholed: { lose: () => net.blackhole(...zones), left: ["backend-a"] },
    // Slow is not lost: a handshake takes a fifth of a second.
    "slowed to 200 kbit/s": { lose: () => net.slow("zone-b", 200), left: ["backend", "backend-a"] },
  };
  for (const [what, { lose, left }] of Object.entries(faults))
    await t.test(`the link between the zones is ${what} and mended`, async (inner) => {
      await answering("backend", "backend-a");
      const calls = calling(stage);
      for (let i = 0; i < times(1, 10); i++) {
        await lose();
        await answering(...left);
        const before = calls.sent();
        await eventually("more requests", 30_000, async () => assert.ok(calls.sent() > before + times(100, 400)));
        await net.mend();
        await answering("backend", "backend-a");
      }
      noneFailed(inner, `the link between two zones is ${what} and mended`, await calls.stop());
    });
});
