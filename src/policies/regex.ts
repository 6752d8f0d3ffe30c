// Regular expressions as Envoy's RE2 takes them: https://github.com/google/re2/wiki/Syntax. Of one that it doesn't take, Envoy
// refuses all routes of a service, and JavaScript's own parser knows another language.

import { RE2JS, RE2JSException } from "re2js";
import { at, type Issue } from "#lib/issue.ts";

/** RE2 gives up at 8 MiB of program, some 300,000 instructions over bytes. */
const mostInstructions = 300_000;
/** What one instruction over characters may become: of a class of Unicode, of another set, of anything else. */
const ofUnicodeClass = 1_500;
const ofEachMember = 4;
const ofAny = 30;

/** Why RE2 would not take it; `undefined` if it would. */
export function regexMistake(text: string): string | undefined {
  if (text === "") return "it is empty";
  // RE2JS knows two classes more.
  const unknown = /\\[pP]\{\^?(?:Cn|LC)\}/.exec(text);
  if (unknown) return `invalid character class range: ${unknown[0]}`;
  try {
    const size = RE2JS.compile(text).programSize() * bytesOfOne(text);
    return size > mostInstructions ? "it is too large, with all its counts written out" : undefined;
  } catch (error) {
    if (error instanceof RE2JSException) return error.message.replace("error parsing regexp: ", "").replaceAll("`", "");
    throw error;
  }
}

export function regexIssues(text: string, path: readonly (string | number)[]): readonly Issue[] {
  const mistake = regexMistake(text);
  return mistake === undefined
    ? []
    : [{ path: at(...path), message: `must be a regular expression in RE2's syntax: ${mistake}` }];
}

function bytesOfOne(text: string): number {
  const sets = [...text.matchAll(/\[\^?\]?(?:\\.|[^\]\\])*/gs)].map(([set]) => set.length);
  return Math.max(/\\[pP]/.test(text) ? ofUnicodeClass : ofAny, ofEachMember * Math.max(0, ...sets));
}
