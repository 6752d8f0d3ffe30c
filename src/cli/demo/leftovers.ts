// What the demo may have left behind, found by looking: processes, unix sockets, its folder.

import { readdir, readFile, readlink, stat } from "node:fs/promises";

/** A sentence for each thing that should be gone. */
export async function leftovers(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => "");
    if (command.includes(folder) || cwd.startsWith(folder))
      found.push(`process ${pid}: ${command.split("\0").join(" ")}`);
  }
  const sockets = await readFile("/proc/net/unix", "utf8");
  for (const line of sockets.split("\n")) if (line.includes(folder)) found.push(`socket ${line.split(" ").at(-1)}`);
  if (await stat(folder).catch(() => undefined)) found.push(`folder ${folder}`);
  return found;
}
