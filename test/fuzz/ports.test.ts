// Whatever comes to a port: no crash, no error of ours, no memory without bounds, and others are served meanwhile.

import { test } from "node:test";
import { bootstrapInputs } from "./bootstrap-inputs.ts";
import { fuzzed } from "./fuzzed.ts";
import { startStage } from "./stage.ts";

test("ports", async (t) => {
  const stage = await startStage(t);
  const { of, zone, dpPort, token, user } = stage;
  const secrets = [token, user];

  const bootstraps = await bootstrapInputs(stage);
  await t.test("bootstrap", (t) =>
    fuzzed(t, of, {
      ...{ at: zone, port: dpPort, isTls: true, inputs: bootstraps, secrets },
      bystander: stage.getsItsBootstrap,
    }),
  );
});
