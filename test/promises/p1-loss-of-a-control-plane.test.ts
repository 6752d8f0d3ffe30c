// P1: loss of a control plane, or of a link between control planes, by itself changes no byte of a running proxy's
// configuration and fails no request. P11: proxies join while global is down.

import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { noneFailed, repeated } from "../lab/soak.ts";
import { answeredBy, openStage } from "./stage.ts";

test("control planes are killed and links are cut in turn, under load", async (t) => {
  const stage = await openStage(t);
  await stage.online();
  const all = ["backend-1", "backend-2", "backend-3"];
  let newcomers = 0;
  /** Comes, is used, and goes, in a zone whose control plane is there. */
  const scale = async (zone: "zone-a" | "zone-b", isSeen: boolean): Promise<void> => {
    const name = `newcomer-${++newcomers}`;
    const one = await stage.startBackend(zone, name, `127.0.${zone === "zone-a" ? 1 : 2}.${10 + newcomers}`);
    // Behind the ingress it takes its share; a client in another zone needs no news for that.
    if (isSeen) await answeredBy(stage.url, [...all, name]);
    assert.equal((await one.child.end()).code, 0);
    await answeredBy(stage.url, all);
  };
  const loss = async (what: string, lose: () => Promise<() => Promise<void>>, meanwhile: () => Promise<void>) =>
    t.test(what, async (t) => {
      const before = await stage.held();
      const calling = load(stage.url);
      stage.of.atEnd(calling.stop);
      await repeated(calling, async () => {
        const mend = await lose();
        await meanwhile();
        await mend();
        await stage.online();
        await answeredBy(stage.url, all);
      });
      noneFailed(t, what, await calling.stop());
      // An instance that has left is known for 10 s longer.
      await eventually("what was held before, and nothing else", 20_000, async () => {
        const after = await stage.held();
        for (const [name, dump] of before) assert.deepEqual(after.get(name), dump, name);
      });
    });

  await loss(
    "global is killed; proxies come and go in both zones",
    () => stage.kill("global"),
    async () => {
      await scale("zone-a", true);
      await scale("zone-b", true);
    },
  );
  await loss(
    "the link of zone-a is cut; proxies come and go in both zones",
    () => stage.cut("zone-a"),
    async () => {
      await scale("zone-a", true);
      await scale("zone-b", true);
    },
  );
  await loss(
    "the link of zone-b is cut; proxies come and go there",
    () => stage.cut("zone-b"),
    () => scale("zone-b", true),
  );
  await loss(
    "zone-a's control plane is killed; proxies come and go in zone-b",
    () => stage.kill("zone-a"),
    () => scale("zone-b", true),
  );
  await loss(
    "zone-b's control plane is killed; proxies come and go in zone-a",
    () => stage.kill("zone-b"),
    () => scale("zone-a", true),
  );
});
