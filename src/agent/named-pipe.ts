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
 * It has no name any more when this resolves: /dev/stdout leads to what is open, not to a path. `undefined` where none can be made, for want of
 * mkfifo or of a place: then Envoy itself says what it cannot open, should it ever have to.
 */
export async function openNamedPipe(): Promise<NamedPipe | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-pipe-")).catch(() => undefined);
  if (folder === undefined) return undefined;
  try {
    const path = join(folder, "pipe");
    if (!(await isMade(path))) return undefined;
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

const isMade = (path: string): Promise<boolean> =>
  promisify(execFile)("mkfifo", ["-m", "600", path]).then(
    () => true,
    () => false,
  );
