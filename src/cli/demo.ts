// `kodiak demo`, and the application that its proxies stand before.

import { stopSignals } from "#agent/stop-signals.ts";
import { runDemoApp } from "#cli/demo/app.ts";
import { runDemo } from "#cli/demo/demo.ts";
import { defineVerb, Usage } from "#cli/verb.ts";
import { openLog } from "#host/log.ts";

export const demoVerb = defineVerb({
  name: "demo",
  summary: "run a mesh over two zones on this machine, with real Envoys and real traffic",
  settings: {
    once: {
      type: "boolean",
      help: "walk through all steps without keys and end, with 0 only if all of them held",
      default: false,
    },
  },
  examples: ["kodiak demo", "kodiak demo --once"],
  run: ({ once }, _args, terminal) => runDemo({ once, terminal, stop: stopSignals("SIGHUP").leave }),
});

export const demoAppVerb = defineVerb({
  name: "demo-app",
  summary: "run the application behind a proxy of the demo",
  isHidden: true,
  args: "<instance>",
  settings: {},
  examples: ["kodiak demo-app backend-1"],
  async run(_values, [instance]) {
    if (instance === undefined) throw new Usage("name the instance");
    return runDemoApp(instance, openLog("info"), stopSignals().leave);
  },
});
