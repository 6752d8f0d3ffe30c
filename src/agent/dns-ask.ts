// Asks another resolver: DNS messages out and back, over UDP or TCP, as bytes. What they say is not looked at.

import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import type { Clock } from "#host/world.ts";
import type { HostPort } from "#lib/address.ts";
import { KodiakError } from "#lib/failure.ts";

export interface Asker {
  /** Resolves with the answer under the question's id; rejects with `unavailable` when there is none in time. */
  ask(message: Buffer): Promise<Buffer>;
  close(): void;
}

interface Pending {
  resolve(answer: Buffer): void;
  reject(error: Error): void;
}

/** One socket for all questions: for a resolver on this machine. What is asked of others has a port of its own (`askOnce`). */
export function openAsker(at: HostPort, clock: Clock, timeoutMs: number): Asker {
  const pending = new Map<number, Pending>();
  const socket = createSocket(isIPv6(at.address) ? "udp6" : "udp4");
  const failed = (why: string): KodiakError =>
    new KodiakError({ kind: "unavailable", what: `the resolver at ${at.address}:${at.port} ${why}` });
  socket.on("message", (bytes) => {
    if (bytes.length >= 12) pending.get(bytes.readUInt16BE(0))?.resolve(bytes);
  });
  // Nobody listens there: the machine says so at once.
  socket.on("error", (error) => {
    for (const one of [...pending.values()]) one.reject(failed(`cannot be asked: ${error.message}`));
  });
  const connected = new Promise<void>((resolve) => socket.connect(at.port, at.address, resolve));

  return {
    async ask(message) {
      await connected;
      let id = randomInt(65_536);
      while (pending.has(id)) id = randomInt(65_536);
      const own = message.readUInt16BE(0);
      const sent = withId(message, id);
      let cancel = (): void => {};
      try {
        const answer = await new Promise<Buffer>((resolve, reject) => {
          pending.set(id, { resolve, reject });
          cancel = clock.alarm(clock.now() + timeoutMs, () => reject(failed(`gives no answer in ${timeoutMs} ms`)));
          socket.send(sent, (error) => error && reject(failed(`cannot be asked: ${error.message}`)));
        });
        return withId(answer, own);
      } finally {
        cancel();
        pending.delete(id);
      }
    },
    close: () => socket.close(),
  };
}

function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** From a port that is used for this question alone, so that nobody can guess where an answer would be taken. */
export async function askOnce(
  at: HostPort,
  over: "udp" | "tcp",
  message: Buffer,
  clock: Clock,
  timeoutMs: number,
): Promise<Buffer> {
  if (over === "tcp") return askOverTcp(at, message, timeoutMs);
  const asker = openAsker(at, clock, timeoutMs);
  try {
    return await asker.ask(message);
  } finally {
    asker.close();
  }
}

/** A message over TCP has its length before it (RFC 1035, 4.2.2). */
export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** The first whole message of what has come over TCP, and what follows it. */
export function unframed(bytes: Buffer): { readonly message: Buffer; readonly rest: Buffer } | undefined {
  if (bytes.length < 2) return undefined;
  const end = 2 + bytes.readUInt16BE(0);
  return bytes.length < end ? undefined : { message: bytes.subarray(2, end), rest: bytes.subarray(end) };
}

function askOverTcp(at: HostPort, message: Buffer, timeoutMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: at.address, port: at.port, timeout: timeoutMs });
    let bytes: Buffer = Buffer.alloc(0);
    const fail = (why: string) => () => {
      socket.destroy();
      reject(new KodiakError({ kind: "unavailable", what: `the resolver at ${at.address}:${at.port} ${why}` }));
    };
    socket.on("connect", () => socket.write(framed(message)));
    socket.on("timeout", fail(`gives no answer in ${timeoutMs} ms`));
    socket.on("error", fail("cannot be asked over TCP"));
    socket.on("end", fail("closes without an answer"));
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      const whole = unframed(bytes);
      if (!whole) return;
      resolve(whole.message);
      socket.destroy();
    });
  });
}
