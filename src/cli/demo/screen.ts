// The demo as a live screen: drawn again four times a second from what is so at that moment, and keys.

import { clearLine, clearScreenDown, cursorTo, emitKeypressEvents } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";
import { pauseUnless } from "#agent/process.ts";
import type { Display } from "#cli/demo/display.ts";
import { help, keysLine } from "#cli/demo/keys.ts";
import type { Live } from "#cli/demo/measure.ts";
import { figuresLine, headLine, meshLines, type Outcome, outcomeLine } from "#cli/demo/picture.ts";
import { coloured, type Terminal } from "#cli/terminal.ts";

const frameMs = 250;

export interface ScreenOn {
  readonly terminal: Terminal;
  readonly stdin: ReadStream;
  readonly stdout: WriteStream;
  readonly stop: AbortSignal;
  /** `q`, or Ctrl-C, which is a key like others here. */
  readonly quit: () => void;
}

interface Scene {
  starting: string;
  live?: Live;
  upSeconds: string;
  readonly outcomes: Outcome[];
  underWay?: Outcome;
  commands: readonly string[];
  isHelp: boolean;
}

export function screenDisplay({ terminal, stdin, stdout, stop, quit }: ScreenOn): Display {
  const scene: Scene = { starting: "", upSeconds: "", outcomes: [], commands: [], isHelp: false };
  const pressed: string[] = [];
  let awaited: (key: string | undefined) => void = () => {};
  const closed = new AbortController();

  const footOf = (): string => {
    if (closed.signal.aborted) return "";
    return stop.aborted ? "  ending, after what is under way …" : keysLine;
  };
  const draw = (): void => {
    const lines = linesOf(scene, footOf(), stdout.columns || 80, (stdout.rows || 24) - 1);
    stdout.cork();
    cursorTo(stdout, 0, 0);
    for (const line of lines) {
      clearLine(stdout, 0);
      stdout.write(`${painted(terminal, line)}\n`);
    }
    clearScreenDown(stdout);
    stdout.uncork();
  };
  const drawing = async (): Promise<void> => {
    while (!closed.signal.aborted) {
      draw();
      await pauseUnless(frameMs, closed.signal);
    }
  };
  const onKey = (_: unknown, { name, ctrl, sequence }: { name?: string; ctrl?: boolean; sequence?: string }): void => {
    if (name === "q" || (ctrl && name === "c")) quit();
    else if (sequence === "?") scene.isHelp = !scene.isHelp;
    else if (name !== undefined && "abkgzd".includes(name)) {
      pressed.push(name);
      awaited(undefined);
    }
    draw();
  };

  emitKeypressEvents(stdin);
  stdin.setRawMode(true);
  stdin.resume();
  stdin.on("keypress", onKey);
  cursorTo(stdout, 0, 0);
  clearScreenDown(stdout);
  void drawing();

  return {
    starting(what) {
      scene.starting = what;
    },
    up(live, seconds) {
      scene.live = live;
      scene.upSeconds = seconds;
    },
    begins(title, commands) {
      scene.underWay = { title, result: "" };
      scene.commands = commands;
    },
    ended(outcome) {
      delete scene.underWay;
      scene.outcomes.push(outcome);
    },
    stays() {},
    async key() {
      while (pressed.length === 0 && !stop.aborted) {
        await new Promise<unknown>((resolve) => {
          awaited = resolve;
          stop.addEventListener("abort", resolve, { once: true });
        });
      }
      return stop.aborted ? undefined : pressed.shift();
    },
    hasKey: () => pressed.length > 0,
    close() {
      closed.abort();
      draw();
      stdin.off("keypress", onKey);
      stdin.setRawMode(false);
      stdin.pause();
    },
  };
}

/** As many as the terminal has rows: of what has happened, the newest. */
function linesOf(scene: Scene, last: string, columns: number, rows: number): readonly string[] {
  const { live, starting, upSeconds, outcomes, underWay, commands, isHelp } = scene;
  if (!live) return [`kodiak demo   starting ${starting} …`];
  const figures = live.client.figures();
  const head = [headLine(live.stage, upSeconds), ...meshLines(live.stage, figures), figuresLine(figures)];
  const foot = [
    ...(isHelp ? help(live.stage) : []),
    ...commands.flatMap((command) => wrapped(`  $ ${command}`, columns)),
    ...wrapped(last, columns),
  ];
  const happened = [...outcomes, ...(underWay ? [underWay] : [])].flatMap((outcome) =>
    outcomeLine(outcome).split("\n"),
  );
  const room = Math.max(1, rows - head.length - foot.length);
  return [...head, ...happened.slice(-room), ...foot].map((line) => line.slice(0, columns));
}

/** A command must be whole, to be copied. */
const wrapped = (text: string, columns: number): readonly string[] =>
  Array.from({ length: Math.ceil(text.length / columns) }, (_, i) => text.slice(i * columns, (i + 1) * columns));

const painted = (terminal: Terminal, line: string): string =>
  line
    .replace("✓", () => coloured(terminal, "green", "✓"))
    .replaceAll("✗", () => coloured(terminal, "red", "✗"))
    .replace(/failed (?!0\b)[\d,]+/, (failed) => coloured(terminal, "red", failed));
