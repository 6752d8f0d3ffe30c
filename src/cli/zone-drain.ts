// `kodiak zone drain` and `kodiak zone restore`: whether other zones send to a zone. Its own control plane has no part in it, and
// may be away.

import { apiClient, apiSettings } from "#cli/client.ts";
import { jsonOf, yamlOf } from "#cli/print.ts";
import type { Terminal } from "#cli/terminal.ts";
import { defineVerb, outputSetting } from "#cli/verb.ts";

const settings = { output: outputSetting, ...apiSettings } as const;

export const zoneDrainVerb = defineVerb({
  name: "zone drain",
  summary: "on global: have other zones send nothing to a zone as long as the service is somewhere else, too",
  args: "<name>",
  settings,
  examples: ["kodiak zone drain zone-b"],
  run: (values, [name = ""], terminal) =>
    done("drain", values, name, terminal, {
      changed: `other zones send nothing there while anybody else has the service; \`kodiak zone restore ${name}\` ends that`,
      unchanged: "is drained already",
    }),
});

export const zoneRestoreVerb = defineVerb({
  name: "zone restore",
  summary: "on global: have other zones send to a drained zone again",
  args: "<name>",
  settings,
  examples: ["kodiak zone restore zone-b"],
  run: (values, [name = ""], terminal) =>
    done("restore", values, name, terminal, { changed: "other zones send there again", unchanged: "is not drained" }),
});

async function done(
  what: string,
  values: Parameters<typeof apiClient>[0] & { readonly output?: string },
  name: string,
  terminal: Pick<Terminal, "out">,
  says: Readonly<Record<"changed" | "unchanged", string>>,
): Promise<number> {
  const { json } = await apiClient(values).call(
    "POST",
    `/_zones/${encodeURIComponent(name)}/${what}`,
    `zone ${what}`,
    {},
  );
  const text = `${name}: ${json.changed === true ? says.changed : says.unchanged}\n`;
  terminal.out(values.output === "json" ? jsonOf(json) : values.output === "yaml" ? yamlOf(json) : text);
  return 0;
}
