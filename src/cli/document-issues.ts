// What is wrong with a document before a control plane is asked, and how that is told: file, document, line, path, what to do.

import { type FileProblem, type SourceDocument, stepsOf } from "#cli/documents.ts";
import { kindNames } from "#cli/kind-noun.ts";
import { unknownMemberIssues } from "#cli/known-members.ts";
import { misfitIssues } from "#cli/misfits.ts";
import { coloured, type Terminal } from "#cli/terminal.ts";
import type { Issue } from "#lib/issue.ts";
import { didYouMean } from "#lib/nearest.ts";
import { findKind } from "#resources/kinds.ts";

/** What becomes of members that this version does not know; `takeable`: refused, but there is a flag to take them. */
type Unknown = "taken" | "takeable" | "refused";

export function documentIssues({ body }: SourceDocument, unknown: Unknown): Issue[] {
  const { type, kind } = body;
  if (type === undefined && kind !== undefined)
    return [
      {
        path: "kind",
        message: "this is Kubernetes' form; Kodiak takes the universal one, with `type` and `name` at the top",
      },
    ];
  if (typeof type !== "string")
    return [{ path: "type", message: "is required: the kind of the resource, like MeshTimeout" }];
  const known = findKind(type);
  if (!known?.plural) return [{ path: "type", message: `there is no kind "${type}"${didYouMean(type, kindNames)}` }];
  const misfits = misfitIssues(known, body);
  if (unknown === "taken") return misfits;
  const strangers = unknownMemberIssues(known, body);
  return [...misfits, ...(unknown === "takeable" ? strangers.map(withFlag) : strangers)];
}

const withFlag = ({ path, message }: Issue): Issue => ({
  path,
  message: `${message}${message.endsWith("?") ? "" : ";"} --allow-unknown takes it as it is`,
});

export const located = (document: SourceDocument, { path, message }: Issue): string => {
  const { file, number } = document;
  const line = document.lineOf(stepsOf(path));
  return problemText({ file, number, line, message: path === "" ? message : `${path}: ${message}` });
};

export function problemText({ file, number, line, column, message }: FileProblem): string {
  const document = number === undefined ? "" : `document ${number}, `;
  return `${file}, ${document}line ${line}${column === undefined ? "" : `, column ${column}`}: ${message}`;
}

/** Prints each problem, and what becomes of the whole. The exit code. */
export function refuse(terminal: Terminal, problems: readonly string[], consequence: string): number {
  for (const problem of problems) terminal.err(`${coloured(terminal, "red", "error:")} ${problem}\n`);
  terminal.err(`${consequence}\n`);
  return 1;
}
