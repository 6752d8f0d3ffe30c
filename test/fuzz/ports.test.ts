// Whatever comes to a port: no crash, no error of ours, no memory without bounds, and others are served meanwhile.

import { test } from "node:test";
import { apiInputs } from "./api-inputs.ts";
import { bootstrapInputs } from "./bootstrap-inputs.ts";
import { fuzzed, type Port } from "./fuzzed.ts";
import { adsInputs, isSameToken, kdsInputs, tokenInputs } from "./grpc-inputs.ts";
import { joinedAs } from "./joined.ts";
import { laneName } from "./sending.ts";
import { startStage } from "./stage.ts";

/** A zone writes its objects in one transaction at a time: more of them side by side. */
const zones = 16;

test("ports", async (t) => {
  const stage = await startStage(t);
  const { of, global, zone, token, user } = stage;
  const secrets = [token, user];
  const proxies = { at: zone, port: Number(zone.ready.dpPort), isTls: true, secrets };
  const kds = { at: global, port: Number(global.ready.kdsPort), isTls: true, secrets };
  const fuzz = (name: string, port: Port) => t.test(name, (t) => fuzzed(t, of, port));

  await fuzz("bootstrap", { ...proxies, inputs: await bootstrapInputs(stage), bystander: stage.getsItsBootstrap });
  await fuzz("ADS", { ...proxies, inputs: adsInputs(stage), bystander: stage.getsItsClusters });
  await fuzz("tokens", {
    ...proxies,
    inputs: tokenInputs(stage),
    bystander: stage.getsItsClusters,
    wrong: (input, { bytes }) =>
      input.kind === "grpc" && bytes > 0 && !isSameToken(input.headers.authorization ?? "", token)
        ? "a forged token was taken"
        : undefined,
  });
  const api = { at: global, port: Number(global.ready.apiPort), isTls: false, secrets };
  await fuzz("HTTP API", { ...api, inputs: apiInputs, bystander: stage.isInTheZone });
  await fuzz("KDS, of strangers", { ...kds, inputs: await kdsInputs(false), bystander: stage.isInTheZone });
  const identities = await Promise.all(Array.from({ length: zones }, (_, lane) => joinedAs(stage, laneName(lane))));
  await fuzz("KDS, of zones", {
    ...kds,
    identities,
    inputs: await kdsInputs(true),
    bystander: stage.isInTheZone,
  });
});
