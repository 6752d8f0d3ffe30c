// A file of lines that only grows, and makes way for a new one at a size. What is appended while a write is under way shares
// the next one, and its fsync. A line that was torn by a crash was acknowledged to nobody, and goes when the file is opened.

import { constants } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf, messageOf } from "#host/connection-failure.ts";
import { KodiakError } from "#lib/failure.ts";

export interface DurableLines {
  readonly file: string;
  /** One line or more, each with its line feed. Resolves when they are on the disk; rejects if nothing of them is kept. */
  append(lines: string): Promise<void>;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

export interface Rotation {
  readonly maxBytes: number;
  /** How many old files are kept, as `<file>.1` (the newest) and so on; at least 1. */
  readonly keep: number;
}

interface Waiting {
  readonly lines: Buffer;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}
interface Opened {
  readonly handle: FileHandle;
  sizeBytes: number;
}

/** Rejects with `unavailable`. */
export async function openDurableLines(file: string, { maxBytes, keep }: Rotation): Promise<DurableLines> {
  let opened: Opened | undefined = await openAtEnd(file).catch((error: unknown) => {
    throw new KodiakError({ kind: "unavailable", what: `cannot open ${file}: ${messageOf(error)}` }, { cause: error });
  });
  let queue: Waiting[] = [];
  let working: Promise<void> | undefined;
  let isClosed = false;

  return {
    file,
    append: (lines) =>
      new Promise((resolve, reject) => {
        if (isClosed) throw new KodiakError({ kind: "unavailable", what: `${file} is closed` });
        queue.push({ lines: Buffer.from(lines), resolve, reject });
        working ??= work();
      }),
    async close() {
      isClosed = true;
      await working;
      await opened?.handle.close();
      opened = undefined;
    },
  };

  async function work(): Promise<void> {
    // What comes in one turn of the event loop is one write.
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0) {
      const batch = queue;
      queue = [];
      try {
        await write(Buffer.concat(batch.map(({ lines }) => lines)));
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    working = undefined;
  }

  async function write(bytes: Buffer): Promise<void> {
    opened ??= await openAtEnd(file);
    if (opened.sizeBytes > 0 && opened.sizeBytes + bytes.length > maxBytes) opened = await rotated(opened);
    try {
      await opened.handle.appendFile(bytes);
      await opened.handle.datasync();
      opened.sizeBytes += bytes.length;
    } catch (error) {
      // Part of it may be there: opening the file anew finds out.
      const { handle, sizeBytes } = opened;
      opened = undefined;
      await handle.truncate(sizeBytes).catch(() => {});
      await handle.close().catch(() => {});
      throw error;
    }
  }

  async function rotated({ handle }: Opened): Promise<Opened> {
    opened = undefined;
    await handle.close();
    for (let number = keep - 1; number >= 1; number--)
      await renameIfThere(`${file}.${number}`, `${file}.${number + 1}`);
    await renameIfThere(file, `${file}.1`);
    return openAtEnd(file);
  }
}

/** Readable by its owner only, with its name on the disk, and without a torn last line. */
async function openAtEnd(file: string): Promise<Opened> {
  const { O_APPEND, O_CREAT, O_RDWR, O_NOFOLLOW } = constants;
  const handle = await open(file, O_APPEND | O_CREAT | O_RDWR | O_NOFOLLOW, 0o600);
  try {
    await handle.chmod(0o600);
    const { size } = await handle.stat();
    const sizeBytes = await endOfLastLine(handle, size);
    if (sizeBytes < size) await handle.truncate(sizeBytes);
    await handle.sync();
    await syncFolder(dirname(file));
    return { handle, sizeBytes };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function endOfLastLine(handle: FileHandle, size: number): Promise<number> {
  const piece = Buffer.alloc(64 * 1024);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - piece.length);
    const { bytesRead } = await handle.read(piece, 0, end - start, start);
    const at = piece.subarray(0, bytesRead).lastIndexOf("\n");
    if (at >= 0) return start + at + 1;
    end = start;
  }
  return 0;
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  await handle.sync().finally(() => handle.close());
}

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: unknown) => {
    if (codeOf(error) !== "ENOENT") throw error;
  });
}
