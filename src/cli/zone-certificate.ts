// `kodiak zone revoke` and `kodiak zone forget`: a zone is shut out.

import { apiClient, apiSettings } from "#cli/client.ts";
import { jsonOf, yamlOf } from "#cli/print.ts";
import { defineVerb, outputSetting } from "#cli/verb.ts";

/** No proxy of another zone can know it: a certificate of one is as good as that of any zone. */
const authoritiesStay =
  'the authorities in its store stay good for services of its meshes, for a year at most: unless that store is destroyed or trusted, give each of these meshes another authority (docs/meshes.md, "From one authority to another")\n';

const settings = { output: outputSetting, ...apiSettings } as const;

export const zoneRevokeVerb = defineVerb({
  name: "zone revoke",
  summary: "on global: revoke a zone's certificates and cut its connection; it can join anew with a token",
  args: "<name>",
  settings,
  examples: ["kodiak zone revoke zone-b"],
  async run(values, [name = ""], terminal) {
    const json = await call(values, name, "revoke");
    const text = `${name}: its certificates are revoked, what it had open is cut; \`kodiak token join --zone ${name}\` lets it in again\n${authoritiesStay}`;
    terminal.out(shown(values.output, json, text));
    return 0;
  },
});

export const zoneForgetVerb = defineVerb({
  name: "zone forget",
  summary: "on global: revoke a zone's certificates and delete it with all that it sent, as if it had never been",
  args: "<name>",
  settings,
  examples: ["kodiak zone forget zone-b"],
  async run(values, [name = ""], terminal) {
    const json = await call(values, name, "forget");
    const text = `${name}: its certificates are revoked, what it had open is cut, ${json.deleted} resources are deleted\n${authoritiesStay}`;
    terminal.out(shown(values.output, json, text));
    return 0;
  },
});

async function call(values: Parameters<typeof apiClient>[0], name: string, what: string) {
  const path = `/_zones/${encodeURIComponent(name)}/${what}`;
  return (await apiClient(values).call("POST", path, `zone ${what}`, {})).json;
}

const shown = (output: string | undefined, json: object, text: string): string =>
  output === "json" ? jsonOf(json) : output === "yaml" ? yamlOf(json) : text;
