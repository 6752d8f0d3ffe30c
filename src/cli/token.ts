// `kodiak token`: tokens for proxies, zones and users, issued by the control plane, or here with a signing key in a file.

import { randomUUID } from "node:crypto";
import { apiClient, apiSettings } from "#cli/client.ts";
import { jsonOf, yamlOf } from "#cli/print.ts";
import type { Terminal } from "#cli/terminal.ts";
import { textOf } from "#cli/trust.ts";
import { defineVerb, outputSetting, Usage } from "#cli/verb.ts";
import type { Schema, Settings } from "#host/settings.ts";
import type { Issuance } from "#identity/jwt.ts";
import { readSigningKey, type SigningKey } from "#identity/signing-key.ts";
import { issueDataplaneToken, issueJoinToken, issueUserToken, issueZoneToken } from "#identity/tokens.ts";

const yearMs = 365 * 24 * 3_600_000;

const commonSettings = {
  signingKey: {
    type: "file",
    help: "sign here with this RSA private key (PKCS#1, PEM) instead of asking a control plane",
  },
  kid: { type: "string", help: "id of that key: the number at the end of its Secret's name", default: "1" },
  output: outputSetting,
  ...apiSettings,
} as const satisfies Schema;
const validFor = { type: "duration", help: "how long it is valid, like 24h", default: "87600h" } as const;

export const dataplaneTokenVerb = defineVerb({
  name: "token dataplane",
  summary: "issue a token with which data plane proxies come to their control plane",
  settings: {
    mesh: { type: "string", short: "m", help: "the mesh that it is for", default: "default" },
    name: { type: "string", help: "the only proxy that it is for" },
    tag: {
      type: "list",
      value: "name=value",
      help: "a tag that the proxy must have, and no other value of it; may be repeated",
    },
    workload: { type: "string", help: "the only workload that it is for" },
    type: {
      type: "string",
      help: "the only type of proxy that it is for; zone proxies take a zone token instead",
      choices: ["dataplane", "ingress", "egress"],
    },
    validFor,
    ...commonSettings,
  },
  examples: [
    "kodiak token dataplane --name web-1 --valid-for 720h > web-1.token",
    "kodiak token dataplane --tag kuma.io/service=web --signing-key key.pem --kid 1",
  ],
  async run(values, _args, terminal) {
    const { mesh, name = "", workload = "", type = "" } = values;
    const request = { name, mesh, tags: tagsIn(values.tag ?? []), type, workload };
    const sign = (key: SigningKey, issuance: Issuance) => issueDataplaneToken(request, key, issuance);
    return print(await issued("dataplane", request, values, terminal, sign), values, terminal);
  },
});

export const zoneTokenVerb = defineVerb({
  name: "token zone",
  summary: "issue a token with which a zone's ingress or egress comes to its control plane",
  settings: {
    zone: { type: "string", help: "the only zone that it is for" },
    scope: { type: "list", help: "what it is for: ingress, egress", default: ["ingress", "egress"] },
    validFor,
    ...commonSettings,
  },
  examples: ["kodiak token zone --zone zone-a --scope ingress > ingress.token"],
  async run(values, _args, terminal) {
    const wrong = values.scope.find((scope) => scope !== "ingress" && scope !== "egress");
    if (wrong !== undefined) throw new Usage(`--scope: must be ingress or egress, not ${JSON.stringify(wrong)}`);
    const request = { zone: values.zone ?? "", scope: values.scope };
    const sign = (key: SigningKey, issuance: Issuance) => issueZoneToken(request, key, issuance);
    return print(await issued("zone", request, values, terminal, sign), values, terminal);
  },
});

export const joinTokenVerb = defineVerb({
  name: "token join",
  summary: "issue a token with which a zone's control plane joins its global one, once",
  settings: {
    zone: { type: "string", help: "the zone that it is for", required: true },
    validFor: { ...validFor, default: "1h" },
    ...commonSettings,
  },
  examples: ["kodiak token join --zone zone-a --valid-for 1h > zone-a.token"],
  async run(values, _args, terminal) {
    const request = { zone: values.zone };
    const sign = (key: SigningKey, issuance: Issuance) => issueJoinToken(request, key, issuance);
    return print(await issued("join", request, values, terminal, sign), values, terminal);
  },
});

export const userTokenVerb = defineVerb({
  name: "token user",
  summary: "issue a token with which somebody uses the API from elsewhere",
  settings: {
    name: { type: "string", help: "who it is", required: true },
    group: { type: "list", help: "groups of the user; mesh-system:admin may do everything", default: [] },
    validFor: { ...validFor, default: "24h" },
    ...commonSettings,
  },
  examples: ["kodiak token user --name jane --group mesh-system:admin --valid-for 8h"],
  async run(values, _args, terminal) {
    const request = { name: values.name, groups: values.group };
    const sign = (key: SigningKey, issuance: Issuance) => issueUserToken(request, key, issuance);
    return print(await issued("user", request, values, terminal, sign), values, terminal);
  },
});

type Common = Settings<typeof commonSettings> & { readonly validFor: number };

async function issued(
  what: string,
  request: object,
  values: Common,
  terminal: Terminal,
  sign: (key: SigningKey, issuance: Issuance) => Promise<string>,
): Promise<string> {
  if (values.validFor < 1000) throw new Usage("--valid-for: must be a second or more, like 24h");
  if (values.validFor > 100 * yearMs) throw new Usage("--valid-for: must be at most a hundred years");
  if (values.signingKey === undefined) {
    const body = { ...request, validFor: `${values.validFor}ms` };
    const { text } = await apiClient(values).call("POST", `/tokens/${what}`, `a ${what} token`, body);
    return text;
  }
  const read = readSigningKey(Buffer.from(textOf(values.signingKey, "--signing-key")));
  if (!read.ok) throw new Usage(`--signing-key ${values.signingKey}: ${read.reason}`);
  if (read.key.type !== "private") throw new Usage(`--signing-key ${values.signingKey}: must be a private key`);
  const issuance = { now: terminal.now(), validForMs: values.validFor, tokenId: randomUUID() };
  return sign({ kid: values.kid, privateKey: read.key }, issuance);
}

function print(token: string, { output }: Common, terminal: Terminal): number {
  const shown = { token };
  terminal.out(output === "json" ? jsonOf(shown) : output === "yaml" ? yamlOf(shown) : `${token}\n`);
  return 0;
}

function tagsIn(pairs: readonly string[]): Record<string, string[]> {
  const tags: Record<string, string[]> = {};
  for (const pair of pairs) {
    const [, name, value] = /^([^=]+)=(.+)$/.exec(pair) ?? [];
    if (name === undefined || value === undefined)
      throw new Usage(`--tag ${pair}: must be name=value, like version=v1`);
    tags[name] = [...(tags[name] ?? []), value];
  }
  return tags;
}
