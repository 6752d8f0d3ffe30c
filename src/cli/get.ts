// `kodiak get`: one resource or a list, as a table, YAML or JSON.

import { behindColumns, refusedText, troubleOfLink, troubleOfProxy } from "#cli/behind.ts";
import { type Api, apiClient, apiSettings } from "#cli/client.ts";
import { columnsOf, shownByOverview } from "#cli/columns.ts";
import { frozenColumns, frozenIn, frozenText } from "#cli/frozen.ts";
import { heldColumns, heldText, type LinksShown, linksAt, rowsBesides } from "#cli/held.ts";
import { kindCalled, pathOf } from "#cli/kind-noun.ts";
import { jsonOf, tableOf, yamlDocuments, yamlOf } from "#cli/print.ts";
import { silentColumns, silentText } from "#cli/silent.ts";
import { defineVerb } from "#cli/verb.ts";
import { withoutEgressText } from "#cli/without-egress.ts";
import { stateColumns, stateText } from "#cli/zone-state.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import { describeId } from "#resources/resource.ts";

export const getVerb = defineVerb({
  name: "get",
  summary:
    "show a resource, or all of a kind: meshes, zones, dataplanes, zoneingresses, secrets, policies like meshtimeouts",
  args: "<kind> [name]",
  settings: {
    mesh: { type: "string", short: "m", help: "the mesh to look in", default: "default" },
    allMeshes: { type: "boolean", short: "A", help: "look in all meshes" },
    output: {
      type: "string",
      short: "o",
      help: "form of the output",
      choices: ["table", "yaml", "json"],
      default: "table",
    },
    ...apiSettings,
  },
  examples: [
    "kodiak get dataplanes",
    "kodiak get meshtimeout slow -m default -o yaml",
    "kodiak get zones --api https://global.example:5682 --token-file token --ca-cert-file ca.pem",
  ],
  async run(values, [noun = "", name], terminal) {
    const kind = kindCalled(noun);
    const api = apiClient(values);
    const mesh = values.allMeshes && name === undefined ? undefined : values.mesh;
    const isTable = values.output === "table";
    // Tables of proxies and zones say who is online, which the resource itself does not.
    const { links, frozenSince, silences, withoutEgress, ingressesAway } =
      isTable && kind.name === "Zone" ? await linksAt(api) : noLinks;
    const frozenAmong = (zones: readonly JsonObject[]) => frozenIn({ links, own: frozenSince, zones, ingressesAway });
    const suffix = isTable && shownByOverview.has(kind.name) ? "/_overview" : "";
    if (name === undefined) {
      const listed = await listOf(api, kind, `${pathOf(kind, mesh)}${suffix}`);
      const items = [...listed, ...rowsBesides(links, listed)];
      if (isTable && items.length === 0) {
        terminal.err(`there are no ${kind.plural}${where(kind, mesh)}\n`);
        const texts = [frozenText(frozenAmong([]), terminal), silentText(silences, terminal)];
        terminal.out(`${texts.join("")}${withoutEgressText(withoutEgress)}`);
      } else terminal.out(shown(items));
      return 0;
    }
    const what = describeId({ kind: kind.name, mesh: kind.scope === "Mesh" ? values.mesh : "", name });
    const { json } = await api.call("GET", `${pathOf(kind, mesh, name)}${suffix}`, what);
    terminal.out(values.output === "yaml" ? yamlOf(json) : values.output === "json" ? jsonOf(json) : shown([json]));
    return 0;

    function shown(items: readonly JsonObject[]): string {
      if (values.output === "yaml") return yamlDocuments(items);
      if (values.output === "json") return jsonOf(items);
      const troubleOf = (item: JsonObject) =>
        kind.name === "Zone"
          ? troubleOfLink(String(item.name), links.get(String(item.name)))
          : troubleOfProxy(item, insightOf(kind));
      const troubles = items.map(troubleOf);
      const zones = kind.name === "Zone" ? items : [];
      // A link to global has a row, too, and is no zone.
      const frozen = frozenAmong(zones.filter((row) => "type" in row));
      const columns = [
        ...columnsOf(kind, terminal),
        ...stateColumns(zones, terminal),
        ...heldColumns(links),
        ...behindColumns(troubles, terminal, troubleOf),
        ...frozenColumns(frozen, terminal),
        ...silentColumns(silences, terminal),
      ];
      const rows = items.map((item) => columns.map(({ show }) => show(item)));
      const table = tableOf(
        columns.map(({ head }) => head),
        rows,
      );
      const texts = [
        ...[stateText(zones), heldText(links, terminal), refusedText(troubles, terminal)],
        ...[frozenText(frozen, terminal), silentText(silences, terminal), withoutEgressText(withoutEgress)],
      ];
      return `${table}${texts.join("")}`;
    }
  },
});

/** Where an overview has what is known of a proxy. */
const insightOf = ({ name }: Kind): string => `${name[0]?.toLowerCase()}${name.slice(1)}Insight`;

const noLinks: LinksShown = {
  ...{ links: new Map(), frozenSince: undefined, silences: [] },
  ...{ withoutEgress: [], ingressesAway: [] },
};

const where = (kind: Kind, mesh: string | undefined): string =>
  kind.scope === "Mesh" && mesh !== undefined ? ` in mesh "${mesh}"` : "";

async function listOf(api: Api, kind: Kind, path: string): Promise<JsonObject[]> {
  const items: JsonObject[] = [];
  for (;;) {
    const { json } = await api.call("GET", `${path}?size=1000&offset=${items.length}`, `the list of ${kind.plural}`);
    const page = Array.isArray(json.items) ? json.items.filter(isObject) : [];
    items.push(...page);
    if (page.length === 0 || json.next === null || json.next === undefined) return items;
  }
}
