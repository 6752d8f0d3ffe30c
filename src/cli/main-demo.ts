// The entry of `kodiak demo` and its applications, which need little of the program (tools/bundle.mjs).

import { demoAppVerb, demoVerb } from "#cli/demo.ts";
import { runAndExit } from "#cli/program.ts";

await runAndExit([demoVerb, demoAppVerb]);
