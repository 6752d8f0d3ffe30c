// Regular expressions as Envoy's RE2 takes them: https://github.com/google/re2/wiki/Syntax. Of one that it doesn't take, Envoy
// refuses all routes of a service, and JavaScript's own parser knows another language.

import { RE2JS, RE2JSException } from "re2js";

/** RE2 gives up at 8 MiB of program, some 300,000 instructions over bytes; a class of Unicode takes up to 1,500 of them, others a few. */
const mostInstructions = 300_000;
const bytesOfAny = 10;
const bytesOfUnicodeClass = 1_500;

/** Why RE2 would not take it; `undefined` if it would. */
export function regexMistake(text: string): string | undefined {
  if (text === "") return "it is empty";
  try {
    const size = RE2JS.compile(text).programSize() * (/\\[pP]/.test(text) ? bytesOfUnicodeClass : bytesOfAny);
    return size > mostInstructions ? "it is too large, with all its counts written out" : undefined;
  } catch (error) {
    if (error instanceof RE2JSException) return error.message.replace("error parsing regexp: ", "").replaceAll("`", "");
    throw error;
  }
}
