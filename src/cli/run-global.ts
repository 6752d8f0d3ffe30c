// `kodiak run global`: the global control plane.

import { controlPlaneSettings, openBase, runUntilStopped } from "#cli/control-plane.ts";
import { defineVerb } from "#cli/verb.ts";
import { version } from "#cli/version.ts";
import { global } from "#global/global.ts";

const settings = {
  allowUnauthenticatedZones: {
    type: "list",
    value: "zone",
    help: "let these zones in without a certificate, as those of a Kuma: whoever reaches the port can claim to be one of them",
    default: [],
  },
  kdsPort: { type: "integer", min: 0, max: 65535, help: "port for zone control planes", default: 5685 },
  exportKeysTo: {
    type: "list",
    value: "zone",
    help: "give these zones the private keys of meshes' authorities and of dataplane tokens, which zones of a Kuma cannot do without",
    default: [],
  },
  ...controlPlaneSettings,
} as const;

export const runGlobalVerb = defineVerb({
  name: "run global",
  summary: "run the global control plane, which takes policies and hands them to the zones",
  settings,
  examples: ["kodiak run global", "kodiak run global --allow-unauthenticated-zones kuma-1,kuma-2"],
  async run(values) {
    const base = await openBase("global", settings, values);
    const { address, kdsPort, dpPort, apiPort, apiHttpsPort } = values;
    const unauthenticatedZones = namesIn(values.allowUnauthenticatedZones);
    const exportKeysTo = namesIn(values.exportKeysTo);
    if (unauthenticatedZones.length > 0)
      base.log.warn(
        { zones: unauthenticatedZones },
        "WHOEVER REACHES THE PORT FOR ZONES CAN CLAIM TO BE ONE OF THESE ZONES: they are let in without a certificate",
      );
    const ports = { address, kdsPort, dpPort, apiPort, apiHttpsPort };
    return runUntilStopped("global", base, {
      ...(await global({ ...base, unauthenticatedZones, exportKeysTo, version, ...ports }, base.world)),
    });
  },
});

const namesIn = (lists: readonly string[]): readonly string[] =>
  lists.flatMap((list) => list.split(",")).filter((name) => name !== "");
