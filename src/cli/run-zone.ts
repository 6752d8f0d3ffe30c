// `kodiak run zone`: the control plane of a zone, with a global one or alone.

import { controlPlaneSettings, openBase, runUntilStopped } from "#cli/control-plane.ts";
import { requiredTrust, textOf, trustSettings } from "#cli/trust.ts";
import { defineVerb, Usage } from "#cli/verb.ts";
import { version } from "#cli/version.ts";
import type { Settings } from "#host/settings.ts";
import type { Target } from "#host/world.ts";
import { isDnsName } from "#resources/meta.ts";
import { zone } from "#zone/zone.ts";

const settings = {
  name: { type: "string", help: "name of this zone, a DNS name", required: true },
  global: {
    type: "string",
    value: "grpcs://host:port",
    help: "the global control plane; without it this zone stands alone",
  },
  joinToken: {
    type: "string",
    help: "with it this zone gets its certificate from global, once; rather use --join-token-file",
    secret: true,
  },
  joinTokenFile: { type: "file", help: "file with the join token, from `kodiak token join` on global" },
  ...trustSettings,
  ...controlPlaneSettings,
} as const;

export const runZoneVerb = defineVerb({
  name: "run zone",
  summary: "run a zone's control plane, which configures the proxies of the zone",
  settings,
  examples: [
    "kodiak run zone --name zone-a --global grpcs://global.example.com:5685 --ca-fingerprint 3A:… --join-token-file zone-a.token",
    "kodiak run zone --name zone-a",
  ],
  async run(values) {
    const { name, address, dpPort, apiPort, apiHttpsPort } = values;
    if (!isDnsName(name)) throw new Usage(`--name ${name}: must be a DNS name, like zone-a`);
    const target = globalTarget(values);
    const joinToken = joinTokenIn(values);
    const base = await openBase(name, settings, values);
    const running = await zone(
      {
        ...{ ...base, name, version, address, dpPort, apiPort, apiHttpsPort },
        ...(target && { global: target }),
        ...(joinToken !== undefined && { joinToken }),
      },
      base.world,
    );
    return runUntilStopped("zone", base, { zone: name, ...running });
  },
});

const defaultKdsPort = 5685;

function globalTarget(values: Settings<typeof settings>): Target | undefined {
  if (values.global === undefined) return undefined;
  const url = URL.canParse(values.global) ? new URL(values.global) : undefined;
  if (url?.protocol !== "grpcs:" || url.hostname === "")
    throw new Usage(`--global ${values.global}: must be like grpcs://global.example.com:5685`);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? defaultKdsPort : Number(url.port),
    trust: requiredTrust(values, values.global),
  };
}

function joinTokenIn({ global, joinToken, joinTokenFile }: Settings<typeof settings>): string | undefined {
  const given = joinTokenFile === undefined ? "--join-token" : "--join-token-file";
  if (global === undefined && (joinToken ?? joinTokenFile) !== undefined)
    throw new Usage(`${given}: a zone that stands alone joins nobody; give --global, too, or no token`);
  if (joinToken !== undefined && joinTokenFile !== undefined)
    throw new Usage("give one of --join-token and --join-token-file");
  return joinTokenFile === undefined ? joinToken : textOf(joinTokenFile, "--join-token-file").trim();
}
