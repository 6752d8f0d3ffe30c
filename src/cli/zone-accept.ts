// `kodiak zone accept`: what a link holds is done, because the other control plane is right.

import { apiClient, apiSettings } from "#cli/client.ts";
import { jsonOf, yamlOf } from "#cli/print.ts";
import { defineVerb, outputSetting } from "#cli/verb.ts";

export const zoneAcceptVerb = defineVerb({
  name: "zone accept",
  summary:
    "let happen what the link to a zone (on a zone's control plane: to `global`) holds back: removals and changes of keys",
  args: "<name>",
  settings: { output: outputSetting, ...apiSettings },
  examples: ["kodiak zone accept zone-b", "kodiak zone accept global --api https://zone-a.example:5682 …"],
  async run(values, [name = ""], terminal) {
    const path = `/_links/${encodeURIComponent(name)}/accept`;
    const { json } = await apiClient(values).call("POST", path, "zone accept", {});
    const { removals, changes } = json;
    const text =
      removals === 0 && changes === 0
        ? `${name}: nothing is held\n`
        : `${name}: ${removals} removed, ${changes} to be taken as they are there\n`;
    terminal.out(values.output === "json" ? jsonOf(json) : values.output === "yaml" ? yamlOf(json) : text);
    return 0;
  },
});
