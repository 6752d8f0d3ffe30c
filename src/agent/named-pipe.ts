// What Node gives a child as its output is a socket, and Linux opens those for nobody (ENXIO): an Envoy that shall log to
// /dev/stdout refuses its configuration. A named pipe can be opened again.

import { execFile } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { promisify } from "node:util";

export interface NamedPipe {
  /** Ends when nobody can write any more. */
  readonly reader: Readable;
  /** A file descriptor for the child. */
  readonly writer: number;
  /** To be called once the child has the writer, or is not there. */
  closeWriter(): void;
}

/**
 * It has no name any more when this resolves: /dev/stdout leads to what is open, not to a path. `undefined` where the system has no mkfifo:
 * then Envoy itself says what it cannot open, should it ever have to.
 */
export async function openNamedPipe(): Promise<NamedPipe | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-pipe-"));
  try {
    const path = join(folder, "pipe");
    if (!(await makeNamedPipe(path))) return undefined;
    // Without O_NONBLOCK each end waits for the other.
    const reader = new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), writable: false });
    try {
      const writer = openSync(path, constants.O_WRONLY);
      return { reader, writer, closeWriter: () => closeSync(writer) };
    } catch (error) {
      reader.destroy();
      throw error;
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** `false`: there is no mkfifo. */
async function makeNamedPipe(path: string): Promise<boolean> {
  try {
    await promisify(execFile)("mkfifo", ["-m", "600", path]);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}
