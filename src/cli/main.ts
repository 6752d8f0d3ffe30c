// The entry of the program `kodiak`.

import { runAndExit } from "#cli/program.ts";
import { verbs } from "#cli/verbs.ts";

await runAndExit(verbs);
