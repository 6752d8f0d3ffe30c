// As for bootstrap: whatever comes over ADS, and with whatever token.

import { test } from "node:test";
import { fuzzed } from "./fuzzed.ts";
import { adsInputs, isSameToken, tokenInputs } from "./grpc-inputs.ts";
import { startStage } from "./stage.ts";

test("ADS, fuzzed", async (t) => {
  const stage = await startStage(t);
  const { of, proxies, token, getsItsClusters: bystander } = stage;
  await t.test("requests", (t) => fuzzed(t, of, { ...proxies, inputs: adsInputs(stage), bystander }));
  await t.test("tokens, of which none is taken", (t) =>
    fuzzed(t, of, {
      ...proxies,
      inputs: tokenInputs(stage),
      bystander,
      wrong: (input, { bytes }) =>
        input.kind === "grpc" && bytes > 0 && !isSameToken(input.headers.authorization ?? "", token)
          ? "a forged token was taken"
          : undefined,
    }),
  );
});
