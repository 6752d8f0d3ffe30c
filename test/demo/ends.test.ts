// However the demo ends while it is up, nothing of it is left. What counts and measures it is in demo.test.ts, which runs alone.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { demo, ofAPerson, onATerminal, ownFolder } from "./run.ts";

test("Ctrl-C while the demo is up ends everything", async (t) => {
  const { folder, endsClean } = await ownFolder(t);
  const lines: string[] = [];
  const onLine = (line: string): void => {
    lines.push(line);
    if (line.includes("up in")) running.kill("SIGINT");
  };
  const running = await demo([], onLine, { ...process.env, TMPDIR: folder });
  assert.equal((await running.exit).code, 0, lines.join("\n"));
  await endsClean();
});

test("kill -9 of the demo ends everything too", async (t) => {
  const { folder, endsClean } = await ownFolder(t);
  const running = await demo([], (line) => line.includes("up in") && running.kill("SIGKILL"), {
    ...process.env,
    TMPDIR: folder,
  });
  assert.equal((await running.exit).signal, "SIGKILL");
  await endsClean();
});

test("a terminal that is closed ends everything too", async (t) => {
  const { folder, endsClean } = await ownFolder(t);
  const running = onATerminal({ ...ofAPerson, TMPDIR: folder });
  t.after(() => running.kill());
  let shown = "";
  running.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    if (shown.includes("up in")) running.kill("SIGKILL");
  });
  await once(running, "exit");
  await endsClean();
});

for (const [name, value] of [
  ["NO_COLOR", "1"],
  ["TERM", "dumb"],
] as const)
  test(`on a terminal with ${name}=${value} the demo prints plain lines, and Ctrl-C ends it`, async (t) => {
    const { folder, endsClean } = await ownFolder(t);
    const running = onATerminal({ ...ofAPerson, TMPDIR: folder, [name]: value });
    t.after(() => running.kill());
    let text = "";
    running.stdout.setEncoding("utf8").on("data", (more: string) => {
      const wasUp = text.includes("up in");
      text += more;
      if (!wasUp && text.includes("up in")) running.stdin.write("\x03");
    });
    const [code] = await once(running, "close");
    assert.equal(code, 0, text);
    assert.match(text, /^starting global control plane …\r\n/);
    assert.match(text, /\r\nkodiak demo {3}.* up in \d+\.\d s\r\n/);
    assert.equal(text, stripVTControlCharacters(text));
    await endsClean();
  });
