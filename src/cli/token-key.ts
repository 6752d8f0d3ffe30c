// `kodiak token key`: a key that signs tokens, as the Secret that control planes read it from. Keys rotate by adding one: the
// highest number signs, all that are there verify.

import { jsonOf, yamlOf } from "#cli/print.ts";
import { textOf } from "#cli/trust.ts";
import { defineVerb, outputSetting, Usage } from "#cli/verb.ts";
import { secretResource } from "#identity/secret.ts";
import {
  createSigningKey,
  dataplaneTokenKeys,
  readSigningKey,
  signingKeyId,
  userTokenKeys,
  zoneTokenKeys,
} from "#identity/signing-key.ts";
import { kindNamed } from "#resources/kinds.ts";
import { toRest } from "#resources/rest.ts";

export const tokenKeyVerb = defineVerb({
  name: "token key",
  summary: "print a key that signs tokens, as the secret to apply",
  settings: {
    of: { type: "string", help: "what tokens it signs", choices: ["dataplane", "zone", "user"], default: "dataplane" },
    mesh: { type: "string", short: "m", help: "the mesh that tokens of dataplanes are for", default: "default" },
    kid: {
      type: "string",
      help: "its number: the highest one that is there signs, all that are there verify",
      required: true,
    },
    from: {
      type: "file",
      help: "take this RSA key (PKCS#1, PEM) instead of making one; of a public key tokens are only verified, and are signed elsewhere",
    },
    output: outputSetting,
  },
  examples: [
    "kodiak token key --kid 2 | kodiak apply -f -",
    "kodiak token key --kid 2 --from public.pem | kodiak apply -f -",
  ],
  async run({ of, mesh, kid, from, output }, _args, terminal) {
    if (!/^[1-9]\d{0,8}$/.test(kid)) throw new Usage(`--kid: must be a number from 1 on, not ${JSON.stringify(kid)}`);
    const pem = from === undefined ? await createSigningKey() : textOf(from, "--from");
    const read = readSigningKey(Buffer.from(pem));
    if (!read.ok) throw new Usage(`--from ${from}: ${read.reason}`);
    const place = of === "zone" ? zoneTokenKeys : of === "user" ? userTokenKeys : dataplaneTokenKeys(mesh);
    const {
      type,
      mesh: inMesh,
      name,
      data,
    } = toRest(kindNamed(place.kind), secretResource(signingKeyId(place, kid), pem));
    const manifest = { type, ...(inMesh !== undefined && { mesh: inMesh }), name, data };
    terminal.out(output === "json" ? jsonOf(manifest) : yamlOf(manifest));
    return 0;
  },
});
