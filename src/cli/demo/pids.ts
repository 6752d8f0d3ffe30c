// Processes of this machine by a text in their command line, as /proc has it: arguments, each ended by a zero byte.

import { readdir, readFile } from "node:fs/promises";

export async function pidsOf(text: string): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const isOne = async (pid: string) =>
    (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).includes(text) ? [Number(pid)] : [];
  return (await Promise.all(pids.map(isOne))).flat();
}
