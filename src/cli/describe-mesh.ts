// `kodiak describe mesh`: who vouches for a mesh, which step a rotation is at, who holds it up and since when (decision 14).

import { apiClient, apiSettings } from "#cli/client.ts";
import { ageOf, jsonOf, tableOf, yamlOf } from "#cli/print.ts";
import type { Terminal } from "#cli/terminal.ts";
import { defineVerb, outputSetting } from "#cli/verb.ts";
import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import { describeId } from "#resources/resource.ts";

export const describeMeshVerb = defineVerb({
  name: "describe mesh",
  summary: "show the authorities of a mesh, and how far the change from one to another is",
  args: "<name>",
  settings: { output: outputSetting, ...apiSettings },
  examples: ["kodiak describe mesh default", "kodiak describe mesh default -o json"],
  async run(values, [name = ""], terminal) {
    const what = describeId({ kind: "Mesh", mesh: "", name });
    const { json } = await apiClient(values).call("GET", `/meshes/${encodeURIComponent(name)}/_authorities`, what);
    const text =
      values.output === "json" ? jsonOf(json) : values.output === "yaml" ? yamlOf(json) : textOf(json, terminal);
    terminal.out(text);
    return 0;
  },
});

function textOf(shown: JsonObject, terminal: Pick<Terminal, "now">): string {
  const { mesh, mode, enabledBackend, backends, proxies } = shown;
  const head = `mesh ${String(mesh)}: ${mode === "off" ? "no mTLS" : `mTLS ${String(mode).toLowerCase()}`}\n`;
  const rows = objects(backends).map((one) => {
    const roles = [
      ...(one.name === enabledBackend ? ["enabled"] : []),
      ...(one.name === shown.issuingBackend ? ["issues"] : []),
    ];
    const until = one.notAfter === undefined ? "not there yet" : String(one.notAfter).slice(0, 10);
    const trusted = `${Number(one.trustedBy)} of ${Number(proxies)}`;
    return [String(one.name), String(one.type), roles.join(", ") || "-", until, trusted, String(one.certificates)];
  });
  const table = tableOf(["BACKEND", "TYPE", "IS", "VALID UNTIL", "TRUSTED BY", "CERTIFICATES"], rows);
  return `${head}${rows.length > 0 ? `\n${table}` : ""}${stepText(shown, terminal)}`;
}

function stepText(shown: JsonObject, { now }: Pick<Terminal, "now">): string {
  const { step, enabledBackend: enabled, issuingBackend: issuing } = shown;
  const [missing, away] = [objects(shown.missing), objects(shown.awayZones)];
  const others = objects(shown.backends).filter(({ name }) => name !== enabled);
  const names = others.map(({ name }) => String(name)).join(", ");
  const says: Readonly<Record<string, string>> = {
    distribute: `step 1 of 3, for ${age(shown.since, now)}: all are given the root of ${String(enabled)}; ${String(issuing)} issues until they trust it`,
    issue: `step 2 of 3, for ${age(shown.since, now)}: all get certificates of ${String(enabled)}; ${names} must stay on the list until they have`,
    retire: `step 3 of 3: nobody needs ${names}: take what is to go off mtls.backends`,
  };
  const text = says[String(step)];
  if (text === undefined) return "";
  const proxies = missing.map(({ proxy, zone, isOnline, since }) => [
    String(proxy),
    String(zone ?? "-"),
    isOnline === true ? "online" : "offline",
    age(since, now),
  ]);
  return [
    `\n${text}\n`,
    ...(proxies.length > 0 ? [`\n${tableOf(["MISSING", "ZONE", "STATUS", "FOR"], proxies)}`] : []),
    ...away.map(({ zone, since }) =>
      step === "retire"
        ? ""
        : `\n${String(zone)} is away${since === undefined ? "" : ` for ${age(since, now)}`}: it is waited for; \`kodiak zone forget ${String(zone)}\` ends that\n`,
    ),
  ].join("");
}

const age = (since: JsonValue | undefined, now: () => number): string =>
  since === undefined ? "-" : ageOf(String(since), now());
const objects = (list: JsonValue | undefined): readonly JsonObject[] =>
  Array.isArray(list) ? list.filter(isObject) : [];
