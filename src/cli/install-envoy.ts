// `kodiak install envoy`: fetches the Envoy that this version is tested with into the user's cache.

import { fetchEnvoy, progressLine } from "#agent/envoy-fetch.ts";
import { defineVerb } from "#cli/verb.ts";

export const installEnvoyVerb = defineVerb({
  name: "install envoy",
  summary: "fetch Envoy into the user's cache, where `run proxy` finds it",
  settings: {},
  examples: ["kodiak install envoy"],
  async run(_values, _args, terminal) {
    terminal.out(`${await fetchEnvoy(process.env, progressLine(process.stderr))}\n`);
    return 0;
  },
});
