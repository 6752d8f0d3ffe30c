import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, watch } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describeExit, endProcess, run, startProcess } from "#agent/process.ts";

const never = new AbortController().signal;
const stubborn = 'process.on("SIGTERM", () => console.log("no")); console.log("up"); setInterval(() => {}, 1000)';

test("lines of both streams are handed over, and the exit tells code or signal", async () => {
  const { exit, lines } = await run("/bin/sh", ["-c", "echo out; echo err >&2; exit 3"]);
  assert.deepEqual([...lines].sort(), ["err", "out"]);
  assert.equal(describeExit(exit), "with code 3");
  const killed = await startProcess("/bin/sh", ["-c", "kill -TERM $$"]);
  assert.equal(describeExit(await killed.exit), "by SIGTERM");
});

test("a child that opens its output by its name writes to it, and lines are told apart by their stream", async () => {
  const lines: string[] = [];
  const { exit } = await run(
    "/bin/sh",
    ["-c", "echo out; echo again > /dev/stdout; echo err >&2; echo more > /dev/stderr"],
    {
      opensOutput: true,
      onLine: (line, stream) => lines.push(`${stream}: ${line}`),
    },
  );
  assert.equal(exit.code, 0);
  assert.deepEqual(lines.sort(), ["stderr: err", "stderr: more", "stdout: again", "stdout: out"]);
});

test("a program that is not there is named", async () => {
  const open = async () => (await readdir("/proc/self/fd")).length;
  const before = await open();
  for (const opensOutput of [true, false]) {
    await assert.rejects(startProcess("/nowhere/envoy", [], { opensOutput }), {
      message: "/nowhere/envoy cannot be started: there is no such file",
    });
    await assert.rejects(startProcess("/dev/null/envoy", [], { opensOutput }), /cannot be started: /);
  }
  for (let left = 100; left > 0 && (await open()) > before; left--) await nextTurn();
  assert.equal(await open(), before, "nothing stays open");
});

test("what does not heed SIGTERM is killed after the grace, or at once when that is wanted", async () => {
  for (const [graceMs, isNow] of [
    [100, false],
    [60_000, true],
  ] as const) {
    const up = Promise.withResolvers<void>();
    const refused = Promise.withResolvers<void>();
    const running = await startProcess(process.execPath, ["-e", stubborn], {
      onLine: (line) => (line === "up" ? up : refused).resolve(),
    });
    await up.promise;
    const now = new AbortController();
    const exit = endProcess(running, graceMs, isNow ? now.signal : never);
    if (isNow) await refused.promise;
    now.abort();
    assert.equal(describeExit(await exit), "by SIGKILL");
  }
});

test("when its end is told, nothing of a child is left, its guard neither", async () => {
  const name = `kodiak-test-${process.pid}-nowhere`;
  for (let i = 0; i < 20; i++) {
    const running = await startProcess("/bin/sleep", ["100"], { orphaned: { removes: [join(tmpdir(), name)] } });
    running.kill("SIGKILL");
    await running.exit;
    const commands = (await readdir("/proc")).map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""));
    assert.deepEqual(
      (await Promise.all(commands)).filter((command) => command.includes(name)),
      [],
    );
  }
});

test("a child dies with its parent, also with one that is killed, and its folder goes", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "sock");
  const server = createServer().listen(path);
  t.after(() => server.close());
  await once(server, "listening");
  const work = await mkdtemp(join(folder, "work-"));

  const removed = new Promise<void>((resolve) => {
    const watcher = watch(folder, () => !existsSync(work) && resolve());
    t.after(() => watcher.close());
  });

  const child = `require("node:net").connect(${JSON.stringify(path)}); setInterval(() => {}, 1000)`;
  const parent = `
    import { startProcess } from "#agent/process.ts";
    await startProcess(process.execPath, ["-e", ${JSON.stringify(child)}], { orphaned: { removes: [${JSON.stringify(work)}] } });
  `;
  const process_ = spawn(process.execPath, ["--input-type=module", "-e", parent], {
    cwd: import.meta.dirname,
    stdio: "inherit",
  });
  t.after(() => process_.kill("SIGKILL"));
  const [socket]: Socket[] = await once(server, "connection");
  assert.ok(socket);
  socket.on("error", () => {}).resume();
  process_.kill("SIGKILL");
  await once(socket, "close");

  await removed;
});
