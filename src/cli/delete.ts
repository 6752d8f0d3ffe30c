// `kodiak delete`: one resource.

import { apiClient, apiSettings } from "#cli/client.ts";
import { kindCalled, pathOf } from "#cli/kind-noun.ts";
import { jsonOf, yamlOf } from "#cli/print.ts";
import { defineVerb, outputSetting } from "#cli/verb.ts";
import { describeId } from "#resources/resource.ts";

export const deleteVerb = defineVerb({
  name: "delete",
  summary: "delete a resource",
  args: "<kind> <name>",
  settings: {
    mesh: { type: "string", short: "m", help: "the mesh that it is in", default: "default" },
    output: outputSetting,
    ...apiSettings,
  },
  examples: ["kodiak delete meshtrafficpermission allow-all", "kodiak delete zone zone-b"],
  async run(values, [noun = "", name = ""], terminal) {
    const kind = kindCalled(noun);
    const mesh = kind.scope === "Mesh" ? values.mesh : "";
    const what = describeId({ kind: kind.name, mesh, name });
    await apiClient(values).call("DELETE", pathOf(kind, values.mesh, name), what);
    const result = { type: kind.name, ...(mesh !== "" && { mesh }), name, result: "deleted" };
    terminal.out(
      values.output === "json" ? jsonOf(result) : values.output === "yaml" ? yamlOf(result) : `${what} deleted\n`,
    );
    return 0;
  },
});
