// Levels that change while the program runs, and lines for people.

import assert from "node:assert/strict";
import { test } from "node:test";
import { openLogs } from "#host/log.ts";
import { textLine } from "#host/log-text.ts";

/** What is written meanwhile to standard output. */
function written(work: () => void): string {
  const { write } = process.stdout;
  let text = "";
  process.stdout.write = (chunk: string | Uint8Array) => {
    text += String(chunk);
    return true;
  };
  try {
    work();
  } finally {
    process.stdout.write = write;
  }
  return text;
}

test("a component has its own level, as have the logs made from it; the others have that of all", () => {
  const { log, levels } = openLogs("info", "text");
  const kds = log.child({ component: "kds" });
  const zone = kds.child({ zone: "a" });
  const xds = log.child({ component: "xds" });
  const said = (): string[] => {
    const text = written(() => {
      for (const [name, one] of Object.entries({ log, kds, zone, xds })) {
        one.debug({}, `${name} debug`);
        one.error({}, `${name} error`);
      }
    });
    return [...text.matchAll(/(\S+) (?:debug|error)(?=\s)/g)].map(([words]) => words);
  };
  const errors = ["log error", "kds error", "zone error", "xds error"];
  const lines = () => said().length;
  assert.equal(lines(), errors.length);
  levels.change("kds", "debug");
  assert.equal(lines(), 6);
  levels.change("all", "silent");
  assert.deepEqual(
    [lines(), [...levels.set]],
    [
      4,
      [
        ["kds", "debug"],
        ["all", "silent"],
      ],
    ],
  );
  levels.reset("all");
  assert.equal(lines(), 6);
  levels.reset();
  assert.equal(lines(), 4);
  assert.deepEqual(levels.components, ["all", "kds", "xds"]);
});

test("a line for people says when, how important, what, and of which", () => {
  const line = { level: 30, time: "2026-11-24T12:00:00.000Z", global: "127.0.0.1:5685", why: 'a "b"\nc', msg: "lost" };
  assert.equal(
    textLine(JSON.stringify(line)),
    '2026-11-24T12:00:00.000Z INFO  lost  global=127.0.0.1:5685 why="a \\"b\\"\\nc"\n',
  );
  const failure = {
    level: 50,
    time: "t",
    err: { type: "Error", message: "no", stack: "Error: no\n  at x" },
    msg: "bad",
  };
  assert.equal(textLine(JSON.stringify(failure)), "t ERROR bad  err=no\n    Error: no\n      at x\n");
});

test("a long text is cut: a peer may have sent it", () => {
  const { log } = openLogs("info", "text");
  const line = written(() => log.warn({ reason: "x".repeat(100_000), peer: "a" }, "refused"));
  assert.match(line, /… \(100000 characters\)/);
  assert.match(line, /peer=a/);
  assert.ok(line.length < 2_200, String(line.length));
});
