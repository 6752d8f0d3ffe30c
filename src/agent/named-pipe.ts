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
  /** Called once the child has the writer. */
  closeWriter(): void;
}

/** It has no name any more when this resolves: /dev/stdout leads to what is open, not to a path. */
export async function openNamedPipe(): Promise<NamedPipe> {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-pipe-"));
  try {
    const path = join(folder, "pipe");
    await promisify(execFile)("mkfifo", ["-m", "600", path]);
    // Without O_NONBLOCK each end waits for the other.
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writer = openSync(path, constants.O_WRONLY);
    return { reader: new Socket({ fd: reader, writable: false }), writer, closeWriter: () => closeSync(writer) };
  } finally {
    await rm(folder, { recursive: true });
  }
}
