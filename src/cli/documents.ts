// YAML files as resources to apply: `{{ name }}` filled from variables, documents counted, and the line of each field known,
// so that whatever is wrong later can be said by file, document, line and path.

import { type Alias, type Document, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, visit } from "yaml";
import { isObject, type JsonObject } from "#lib/json.ts";

export interface SourceFile {
  /** What messages call it. */
  readonly name: string;
  readonly text: string;
}
export interface SourceDocument {
  readonly file: string;
  /** From 1, as they are separated by `---`. */
  readonly number: number;
  readonly body: JsonObject;
  /** The line of a field, or of what is nearest above it if it is missing. */
  lineOf(steps: readonly (string | number)[]): number;
}
/** Something wrong with a file before it is a list of documents. */
export interface FileProblem {
  readonly file: string;
  readonly line: number;
  /** Where a line is not enough. */
  readonly column?: number;
  readonly number?: number;
  readonly message: string;
}

export function documentsIn(
  file: SourceFile,
  variables: Readonly<Record<string, string>>,
): { readonly documents: readonly SourceDocument[]; readonly problems: readonly FileProblem[] } {
  const problems: FileProblem[] = [];
  const text = filled(file, variables, problems);
  // With holes in it, it is something else than was meant.
  if (problems.length > 0) return { documents: [], problems };
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, merge: true, logLevel: "error" });
  const documents: SourceDocument[] = [];
  for (const [index, document] of [...parsed].entries()) {
    const number = index + 1;
    const lineAt = (offset: number | undefined): number => Math.max(1, lines.linePos(offset ?? 0).line);
    // The first only: more of them in one document are consequences of it.
    const [error] = document.errors;
    if (error) {
      const { line, col: column } = lines.linePos(error.pos[0]);
      problems.push({ file: file.name, line: Math.max(1, line), column, number, message: error.message });
      continue;
    }
    const alias = unresolvedAlias(document);
    if (alias) {
      const message = `*${alias.source} stands for nothing: no &${alias.source} is before it; quote it if it is a text`;
      problems.push({ file: file.name, line: lineAt(alias.range?.[0]), number, message });
      continue;
    }
    const body: unknown = document.toJS();
    // Nothing but comments between two separators.
    if (body === null) continue;
    const start = document.contents?.range?.[0];
    if (isObject(body))
      documents.push({ file: file.name, number, body, lineOf: (steps) => lineAt(offsetOf(document, steps)) });
    else problems.push({ file: file.name, line: lineAt(start), number, message: mustBeResource });
  }
  return { documents, problems };
}

export const mustBeResource = "a document must be a resource, with type and name";

/** YAML's `*name` without a `&name` before it, which the parser lets pass. */
function unresolvedAlias(document: Document.Parsed): Alias | undefined {
  let found: Alias | undefined;
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document)) return undefined;
      found = alias;
      return visit.BREAK;
    },
  });
  return found;
}

/** Templates of other programs, like `{{ .DisplayName }}` of a HostnameGenerator, begin otherwise and stay. */
const place = /\{\{\s*([A-Za-z_][\w-]*)\s*\}\}/g;

function filled(file: SourceFile, variables: Readonly<Record<string, string>>, problems: FileProblem[]): string {
  const lines = file.text.split("\n").map((line, index) =>
    line.replace(place, (found, name: string) => {
      if (Object.hasOwn(variables, name)) return variables[name] ?? "";
      problems.push({
        file: file.name,
        line: index + 1,
        message: `${found} has no value; give it with --var ${name}=…`,
      });
      return found;
    }),
  );
  return lines.join("\n");
}

function offsetOf(document: Document.Parsed, steps: readonly (string | number)[]): number | undefined {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0];
  for (const step of steps) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => (isScalar(key) ? key.value : key) === step);
      if (!pair) break;
      offset = isScalar(pair.key) ? pair.key.range?.[0] : offset;
      node = pair.value;
    } else if (isSeq(node) && typeof step === "number") {
      const item = node.items[step];
      if (!item) break;
      offset = (item as { range?: readonly number[] }).range?.[0] ?? offset;
      node = item;
    } else break;
  }
  return offset;
}

const step = /\.?([A-Za-z_][\w-]*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/y;

/** The steps of a path as `lib/issue.ts` writes it: `spec.to[0].tags["a.b/c"]`. What follows that is no step is left out. */
export function stepsOf(path: string): (string | number)[] {
  const steps: (string | number)[] = [];
  for (step.lastIndex = 0; step.lastIndex < path.length; ) {
    const match = step.exec(path);
    if (!match) break;
    const [, name, index, quoted] = match;
    if (name !== undefined) steps.push(name);
    else if (index !== undefined) steps.push(Number(index));
    else if (quoted !== undefined) steps.push(String(JSON.parse(quoted)));
  }
  return steps;
}
