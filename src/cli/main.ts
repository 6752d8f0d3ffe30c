// The entry of the program `kodiak`: the list of its verbs.

import { applyVerb } from "#cli/apply.ts";
import { deleteVerb } from "#cli/delete.ts";
import { demoAppVerb, demoVerb } from "#cli/demo.ts";
import { getVerb } from "#cli/get.ts";
import { installEnvoyVerb } from "#cli/install-envoy.ts";
import { runProgram } from "#cli/program.ts";
import { runGlobalVerb } from "#cli/run-global.ts";
import { runIngressVerb, runProxyVerb } from "#cli/run-proxy.ts";
import { runZoneVerb } from "#cli/run-zone.ts";
import { processTerminal } from "#cli/terminal.ts";
import { dataplaneTokenVerb, userTokenVerb, zoneTokenVerb } from "#cli/token.ts";

process.exitCode = await runProgram(
  [
    demoVerb,
    runGlobalVerb,
    runZoneVerb,
    runProxyVerb,
    runIngressVerb,
    applyVerb,
    getVerb,
    deleteVerb,
    dataplaneTokenVerb,
    zoneTokenVerb,
    userTokenVerb,
    installEnvoyVerb,
    demoAppVerb,
  ],
  process.argv.slice(2),
  processTerminal(),
);
