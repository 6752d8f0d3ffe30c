// What a question for a name of the mesh takes that is asked of the agent, over UDP: Envoy beside it knows the address.

import { decode, encode } from "dns-packet";
import { openAsker } from "#agent/dns-ask.ts";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import { loaded, rateOf } from "./load.ts";
import { openStage } from "./stage.ts";
import type { Suite } from "./suite.ts";

const row = "dns-answer";
const question = encode({ type: "query", id: 1, flags: 0x100, questions: [{ type: "A", name: "backend.mesh" }] });
const startMs = 30_000;
const answerMs = 5_000;

export const nameRows: Suite = {
  names: [row, rateOf(row)],
  async *measure(started, isWanted, progress) {
    const stage = await openStage(started, (what) => progress(`starting ${what}`), 0);
    const port = await stage.startNames();
    const { clock } = realWorld({ log: openLog("silent") });
    const asker = openAsker({ address: "127.0.0.1", port }, clock, answerMs);
    const ask = async () => {
      const { answers = [] } = decode(await asker.ask(question));
      if (answers.length === 0) throw new Error("backend.mesh has no address");
    };
    try {
      const end = performance.now() + startMs;
      while (
        !(await ask().then(
          () => true,
          () => false,
        ))
      )
        if (performance.now() > end) throw new Error(`backend.mesh has no address after ${startMs} ms`);
      progress(row);
      for await (const one of loaded(row, "answers/s", ask)) if (isWanted(one.name)) yield one;
    } finally {
      asker.close();
    }
  },
};
