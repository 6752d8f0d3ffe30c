// Text files that users name, read whole; a failure says which file and why in words.

import { readFileSync } from "node:fs";
import { codeOf, messageOf } from "#host/connection-failure.ts";
import { KodiakError } from "#lib/failure.ts";

/** Throws `unavailable`. */
export function readTextFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new KodiakError({ kind: "unavailable", what: `cannot read ${file}: ${whyNotRead(error)}` }, { cause: error });
  }
}

function whyNotRead(error: unknown): string {
  switch (codeOf(error)) {
    case "ENOENT":
      return "there is no such file";
    case "EISDIR":
      return "it is a folder";
    case "EACCES":
      return "this user may not read it";
    default:
      return messageOf(error);
  }
}
