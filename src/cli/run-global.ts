// `kodiak run global`: the global control plane.

import { controlPlaneSettings, openBase, runUntilStopped } from "#cli/control-plane.ts";
import { defineVerb } from "#cli/verb.ts";
import { version } from "#cli/version.ts";
import { global } from "#global/global.ts";

const settings = {
  zones: { type: "list", help: "names of the zones that may join, separated by commas or repeated", default: [] },
  kdsPort: { type: "integer", min: 0, max: 65535, help: "port for zone control planes", default: 5685 },
  ...controlPlaneSettings,
} as const;

export const runGlobalVerb = defineVerb({
  name: "run global",
  summary: "run the global control plane, which takes policies and hands them to the zones",
  settings,
  examples: ["kodiak run global --zones zone-a,zone-b"],
  async run(values) {
    const base = await openBase("global", settings, values);
    const { address, kdsPort, dpPort, apiPort, apiHttpsPort } = values;
    const zones = values.zones.flatMap((name) => name.split(",")).filter((name) => name !== "");
    if (zones.length === 0) base.log.warn({}, "no zone may join yet: name them with --zones");
    const { store, certificate, audit, shown, diagnostics } = base;
    const ports = { address, kdsPort, dpPort, apiPort, apiHttpsPort };
    return runUntilStopped("global", base, {
      ...(await global({ store, certificate, audit, shown, zones, version, diagnostics, ...ports }, base.world)),
    });
  },
});
