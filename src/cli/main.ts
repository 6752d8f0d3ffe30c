// The entry of the program `kodiak`.

import { runProgram } from "#cli/program.ts";
import { processTerminal } from "#cli/terminal.ts";
import { verbs } from "#cli/verbs.ts";

const exitCode = await runProgram(verbs, process.argv.slice(2), processTerminal());
// A component that could not start may have opened ports already: they must not keep the process.
process.exit(exitCode);
