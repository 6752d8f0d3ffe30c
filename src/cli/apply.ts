// `kodiak apply`: files of resources in one transaction. Nothing is sent before all that can be said here is right, and the
// control plane takes all of it or nothing.

import { z } from "zod";
import { type Answer, type Api, apiClient, apiSettings, failureIn } from "#cli/client.ts";
import { documentIssues, located, problemText, refuse } from "#cli/document-issues.ts";
import { documentsIn, mustBeResource, type SourceDocument, type SourceFile } from "#cli/documents.ts";
import { jsonOf, yamlOf } from "#cli/print.ts";
import { coloured, type Terminal } from "#cli/terminal.ts";
import { textOf } from "#cli/trust.ts";
import { defineVerb, outputSetting, Usage } from "#cli/verb.ts";
import { KodiakError } from "#lib/failure.ts";
import { describeId } from "#resources/resource.ts";

export const applyVerb = defineVerb({
  name: "apply",
  summary: "create or update resources from YAML files, all of them or none",
  settings: {
    file: {
      type: "list",
      short: "f",
      value: "file",
      help: "a file of resources, - for standard input; may be repeated",
    },
    var: { type: "map", help: "a value for {{ name }} in the files; may be repeated", default: {} },
    allowUnknown: { type: "boolean", help: "take members that this version does not know" },
    output: outputSetting,
    ...apiSettings,
  },
  examples: [
    "kodiak apply -f policies.yaml",
    "kodiak apply -f mesh.yaml -f dataplane.yaml --var name=web-1 --var address=10.0.0.7",
    "sed s/1s/2s/ timeout.yaml | kodiak apply -f -",
  ],
  async run(values, _args, terminal) {
    if (!values.file) throw new Usage("what is to be applied? Give a file with -f, or -f - for standard input");
    const files = await Promise.all(values.file.map((name) => read(name, terminal)));
    const parsed = files.map((file) => documentsIn(file, values.var));
    const documents = parsed.flatMap((file) => file.documents);
    const problems = [
      ...parsed.flatMap((file) => file.problems.map(problemText)),
      ...documents.flatMap((document) =>
        documentIssues(document, values.allowUnknown ? "taken" : "takeable").map((issue) => located(document, issue)),
      ),
    ];
    if (problems.length > 0) return refuse(terminal, problems, nothingApplied);
    if (documents.length === 0)
      throw new Usage(`there is no resource in ${files.map(({ name }) => name).join(", ")}: ${mustBeResource}`);

    const api = apiClient(values);
    const answer = await api.ask(
      "POST",
      "/_apply",
      documents.map(({ body }) => body),
    );
    if (answer.status >= 400) return refuse(terminal, refusals(answer, documents, api), nothingApplied);
    const applied = appliedAnswer.parse(answer.json);
    for (const { warnings, ...id } of applied.resources)
      for (const warning of warnings)
        terminal.err(`${coloured(terminal, "yellow", "warning:")} ${described(id)}: ${warning}\n`);
    if (values.output === "json") terminal.out(jsonOf(applied));
    else if (values.output === "yaml") terminal.out(yamlOf(applied));
    else for (const resource of applied.resources) terminal.out(`${described(resource)} ${resource.result}\n`);
    return 0;
  },
});

const read = async (name: string, terminal: Terminal): Promise<SourceFile> =>
  name === "-" ? { name: "standard input", text: await terminal.input() } : { name, text: textOf(name, "--file") };

const nothingApplied = "nothing was applied";

const appliedAnswer = z.object({
  revision: z.number(),
  resources: z.array(
    z.object({
      type: z.string(),
      mesh: z.string().optional(),
      name: z.string(),
      result: z.enum(["created", "updated", "unchanged"]),
      warnings: z.array(z.string()),
    }),
  ),
});
const refusedAnswer = z.object({
  documents: z.array(
    z.object({
      index: z.number(),
      detail: z.string(),
      invalid_parameters: z.array(z.object({ field: z.string(), reason: z.string() })),
    }),
  ),
});

function refusals(answer: Answer, documents: readonly SourceDocument[], api: Api): string[] {
  const refused = refusedAnswer.safeParse(answer.json);
  if (!refused.success) {
    if (answer.status === 404)
      throw new KodiakError({
        kind: "unavailable",
        what: `${api.url} has no /_apply: it is no API of a Kodiak control plane; give the address of one with --api, or use kumactl for one of Kuma`,
      });
    throw new KodiakError(failureIn(answer, "apply", api.url, "/_apply"));
  }
  return refused.data.documents.flatMap(({ index, detail, invalid_parameters: parameters }) => {
    const document = documents[index]!;
    const issues = parameters.map(({ field, reason }) => ({ path: field, message: reason }));
    return (issues.length > 0 ? issues : [{ path: "", message: detail }]).map((issue) => located(document, issue));
  });
}

const described = ({ type, mesh = "", name }: { type: string; mesh?: string | undefined; name: string }): string =>
  describeId({ kind: type, mesh, name });
