// As for bootstrap: whatever comes to the HTTP API, plain and over TLS, and to the port for diagnostics.

import { test } from "node:test";
import { fuzzed } from "./fuzzed.ts";
import { startStage } from "./stage.ts";

test("the HTTP API, fuzzed", async (t) => {
  const { of, facts, api, apiOverTls, diagnostics, isInTheZone: bystander } = await startStage(t);
  await t.test("by an administrator", (t) => fuzzed(t, of, { ...api, kinds: 2, inputs: "api", facts, bystander }));
  await t.test("over TLS, by who may do nothing", (t) =>
    fuzzed(t, of, { ...apiOverTls, kinds: 2, inputs: "api as user", facts, bystander }),
  );
  await t.test("diagnostics", (t) => fuzzed(t, of, { ...diagnostics, inputs: "diagnostics", facts, bystander }));
});
