// How long the loss of a machine is felt: of an instance's, of one of two ingresses', or of all of a zone's. Its network swallows every packet, and nobody
// is told. From just before that until the last request of a client of another zone that fails. Nothing is tried again: the policy that does
// so would hide it. On the networks of test/failures: three zones, an instance in each host, two ingresses in the zone that loses something.

import { openStage, type Stage } from "../test/failures/stage.ts";
import type { RemoteLoad } from "../test/lab/insider.ts";
import { eventually } from "../test/lab/lab.ts";
import { send } from "./processes.ts";
import type { Suite } from "./suite.ts";

const losses = 5;
const perSecond = 100;
/** So many answers in a row without a failure: it is over. Longer than an Envoy leaves somebody out and tries again. */
const enough = 600;
const longestMs = 120_000;

/** What vanishes. The service that is called has two instances there and one in a third zone. */
const victims: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  "vanish-to-last-failure": ({ net, hostOf }) => net.vanish(hostOf("b1")),
  "vanish-to-last-failure-ingress": ({ net, hostOf }) => net.vanish(hostOf("ingress-b1")),
  "vanish-to-last-failure-zone": ({ net, hostsIn }) => net.vanish(...hostsIn("zone-b")),
};
const service = "two";
const instances = ["b1", "b2", "c1"];

export const vanishRows: Suite = {
  names: Object.keys(victims),
  async *measure(_, isWanted, progress) {
    const ends: (() => unknown)[] = [];
    try {
      progress("three zones with networks of their own");
      const t = { after: (end: () => unknown) => void ends.push(end) };
      const stage = await openStage(t, { hasEgress: false, isRedirected: false });
      await send("DELETE", `${stage.api}/meshes/default/meshretries/mesh-retry-all-default`);
      for (const [name, vanish] of Object.entries(victims)) {
        if (!isWanted(name)) continue;
        progress(name);
        const values: number[] = [];
        for (let i = 0; i < losses; i++) values.push(await lastFailure(stage, vanish));
        yield { name, unit: "ms", values };
      }
    } finally {
      for (const end of ends) await end();
    }
  },
};

/** 0 if none fails. All instances answer again when this resolves. */
async function lastFailure(stage: Stage, vanish: (stage: Stage) => Promise<void>): Promise<number> {
  const load = await calling(stage);
  const start = Date.now();
  await vanish(stage);
  await eventually("an end of failures", longestMs, async () => {
    const failed = (await load.next(enough)).filter((one) => !instances.includes(one));
    if (failed.length > 0) throw new Error(`${failed.length} failed: ${failed[0]}`);
  });
  const { lastFailureAt = start } = await load.stop();
  await stage.net.mend();
  // Until all answer again.
  await (await calling(stage)).stop();
  return Math.max(0, lastFailureAt - start);
}

/** Resolves when all instances answer. */
async function calling(stage: Stage): Promise<RemoteLoad> {
  const load = (await stage.load(perSecond, [service])).get(service);
  if (!load) throw new Error(`no load on ${service}`);
  await eventually("answers of all instances", longestMs, async () => {
    const heard = await load.next(40);
    const missing = instances.filter((one) => !heard.includes(one));
    if (missing.length > 0) throw new Error(`none of ${missing.join(", ")}`);
  });
  return load;
}
