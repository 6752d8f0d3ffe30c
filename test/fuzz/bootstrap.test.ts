// Whatever comes to a port: no crash, no error of ours, no memory without bounds, and others are served meanwhile.

import { test } from "node:test";
import { fuzzed } from "./fuzzed.ts";
import { startStage } from "./stage.ts";

test("bootstrap, fuzzed", async (t) => {
  const { of, facts, proxies, getsItsBootstrap: bystander } = await startStage(t);
  await fuzzed(t, of, { ...proxies, inputs: "bootstrap", facts, bystander });
});
