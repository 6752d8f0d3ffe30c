// The program `kodiak`: commands made from verbs, and what becomes of their failures. Exit codes: 0 done, 1 refused or failed,
// 2 put wrongly.

import { Command, CommanderError, Option } from "commander";
import { coloured, processTerminal, type Terminal } from "#cli/terminal.ts";
import { Usage, type Verb } from "#cli/verb.ts";
import { version } from "#cli/version.ts";
import { helpOf, loadSettings, type Schema, type Setting, type Settings, type Sources } from "#host/settings.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Issue } from "#lib/issue.ts";

const configSetting: Setting = { type: "file", help: "YAML file of these settings" };
const groups: Readonly<Record<string, string>> = {
  run: "start a component and stay with it",
  describe: "explain how something is doing, and what it waits for",
  zone: "drain or restore a zone, shut it out, delete it, settle what its link holds back",
  token: "issue a token, or make a key that signs tokens",
  install: "put in place what Kodiak works with",
  uninstall: "take away what install has put in place",
};

/** As this process: with its arguments and its terminal. */
export async function runAndExit(verbs: readonly Verb[]): Promise<never> {
  const exitCode = await runProgram(verbs, process.argv.slice(2), processTerminal());
  // A component that could not start may have opened ports already: they must not keep the process.
  process.exit(exitCode);
}

export async function runProgram(verbs: readonly Verb[], args: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode = 0;
  const program = command("kodiak", terminal)
    .description("A multi-zone service mesh: control planes, and Envoys beside your services.")
    .version(version);
  for (const verb of verbs) {
    const [name = "", sub] = verb.name.split(" ");
    const parent = sub === undefined ? program : groupNamed(program, name, terminal);
    addVerb(parent, sub ?? name, verb, terminal, (code) => {
      exitCode = code;
    });
  }
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    return exitCodeOf(error, terminal);
  }
}

function command(name: string, terminal: Terminal): Command {
  return new Command(name)
    .helpCommand(false)
    .exitOverride()
    .showHelpAfterError(`(kodiak ${name === "kodiak" ? "" : `${name} `}--help says what there is)`)
    .configureOutput({
      writeOut: terminal.out,
      writeErr: terminal.err,
      getOutHasColors: () => terminal.hasColours,
      getErrHasColors: () => terminal.hasColours,
    });
}

function groupNamed(program: Command, name: string, terminal: Terminal): Command {
  const existing = program.commands.find((group) => group.name() === name);
  if (existing) return existing;
  const group = command(name, terminal).description(groups[name] ?? "");
  program.addCommand(group);
  return group;
}

function addVerb(parent: Command, name: string, verb: Verb, terminal: Terminal, onEnd: (code: number) => void): void {
  const made = command(name, terminal).description(verb.summary).allowExcessArguments(false);
  if (verb.args !== undefined) made.arguments(verb.args);
  for (const [setting, description] of Object.entries({ ...verb.settings, config: configSetting }))
    made.addOption(optionOf(setting, description));
  made.addHelpText("after", `\nExamples:\n${verb.examples.map((example) => `  ${example}`).join("\n")}`);
  made.action(async () => {
    const values = valuesOf(verb.settings, { flags: made.opts(), env: terminal.env });
    onEnd(await verb.run(values, made.args, terminal));
  });
  parent.addCommand(made, { hidden: verb.isHidden ?? false });
}

function optionOf(name: string, setting: Setting): Option {
  const { flag, text } = helpOf(name, setting);
  const option = new Option(flag, text);
  return setting.type === "list" || setting.type === "map"
    ? option.argParser((value: string, earlier: readonly string[] = []) => [...earlier, value])
    : option;
}

function valuesOf<S extends Schema>(schema: S, sources: Omit<Sources, "file">): Settings<S> {
  try {
    return loadSettings(schema, sources);
  } catch (error) {
    if (!(error instanceof KodiakError) || error.failure.kind !== "invalid") throw error;
    const [first = "", ...more] = linesOf(error.failure.issues);
    throw new Usage(more.length === 0 ? first : messageOf(error), { cause: error });
  }
}

function exitCodeOf(error: unknown, terminal: Terminal): number {
  // Commander has said already what was wrong, or printed the help or version that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (!(error instanceof Usage || error instanceof KodiakError)) throw error;
  terminal.err(`${coloured(terminal, "red", "error:")} ${messageOf(error)}\n`);
  return error instanceof Usage ? 2 : 1;
}

/** One line for each issue where there are several. */
function messageOf(error: Error): string {
  if (!(error instanceof KodiakError) || error.failure.kind !== "invalid") return error.message;
  const { what, issues } = error.failure;
  const lines = linesOf(issues);
  return lines.length === 1 ? `${what}: ${lines[0]}` : `${what}:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}
const linesOf = (issues: readonly Issue[]): string[] =>
  issues.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
