// DNS beside a proxy, over UDP and TCP: an application's questions come here by the redirect (decision 16).

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, isIPv6, type Socket } from "node:net";
import { dnsAnswer } from "#agent/dns-answer.ts";
import { askOnce, framed, openAsker, unframed } from "#agent/dns-ask.ts";
import { alarmsOf } from "#host/alarm.ts";
import { whyNotListening } from "#host/connection-failure.ts";
import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import type { HostPort } from "#lib/address.ts";
import { KodiakError } from "#lib/failure.ts";

export interface DnsOptions {
  /** On 127.0.0.1, UDP and TCP; 0: a free one. */
  readonly port: number;
  /** Of Envoy's DNS listener on 127.0.0.1. */
  readonly envoyPort: number;
  /** For names that are not the mesh's, in this order. */
  readonly resolvers: readonly HostPort[];
}

export interface DnsServer {
  readonly port: number;
  close(): void;
}

const host = "127.0.0.1";
const envoyTimeoutMs = 500;
const resolverTimeoutMs = 2_000;
const idleConnectionMs = 10_000;
const mostConnections = 256;
/** Under way at a time; more are not answered, and are asked again. */
const mostQuestions = 4_096;

/** Rejects with `unavailable` where the port is taken. */
export async function serveDns({ port, envoyPort, resolvers }: DnsOptions, log: Log): Promise<DnsServer> {
  const clock: Clock = { now: Date.now, alarm: alarmsOf(Date.now) };
  const tcp = createServer();
  const udp = createSocket("udp4");
  const bound = await listening(port, async () => {
    try {
      await once(tcp.listen(port, host), "listening");
      const { port: taken } = tcp.address() as AddressInfo;
      await once(udp.bind(taken, host), "listening");
      return taken;
    } catch (error) {
      tcp.close();
      udp.close();
      throw error;
    }
  });
  const envoy = openAsker({ address: host, port: envoyPort }, clock, envoyTimeoutMs);
  let underWay = 0;

  async function ofOthers(message: Buffer, over: "udp" | "tcp"): Promise<Buffer> {
    let last: unknown = new KodiakError({ kind: "unavailable", what: "this machine has no resolver for other names" });
    for (const at of resolvers) {
      try {
        return await askOnce(at, over, message, clock, resolverTimeoutMs);
      } catch (error) {
        last = error;
      }
    }
    log.warn({ err: last }, "a name that is not the mesh's could not be resolved");
    throw last;
  }

  async function answer(message: Buffer, over: "udp" | "tcp", send: (answer: Buffer) => void): Promise<void> {
    if (underWay >= mostQuestions) return;
    underWay++;
    try {
      const found = await dnsAnswer(message, { ofMesh: envoy.ask, ofOthers: (asked) => ofOthers(asked, over) });
      if (found && !closed) send(found);
    } finally {
      underWay--;
    }
  }

  let closed = false;
  const connections = new Set<Socket>();
  tcp.maxConnections = mostConnections;
  tcp.on("connection", (socket) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
    serveConnection(socket, clock, (message, send) => answer(message, "tcp", send));
  });
  udp.on("message", (message, from) => {
    void answer(message, "udp", (found) => udp.send(found, from.port, from.address));
  });
  udp.on("error", (error) => log.warn({ err: error }, "an answer of DNS could not be sent"));
  return {
    port: bound,
    close() {
      closed = true;
      udp.close();
      tcp.close();
      for (const socket of connections) socket.destroy();
      envoy.close();
    },
  };
}

async function listening(port: number, listen: () => Promise<number>): Promise<number> {
  try {
    return await listen();
  } catch (error) {
    throw new KodiakError(
      {
        kind: "unavailable",
        what: `DNS cannot be answered on ${host}:${port}: ${whyNotListening(error)} with --dns-port, 0 for any free one`,
      },
      { cause: error },
    );
  }
}

function serveConnection(
  socket: Socket,
  clock: Clock,
  answer: (message: Buffer, send: (answer: Buffer) => void) => Promise<void>,
): void {
  let bytes: Buffer = Buffer.alloc(0);
  const alarm = () => clock.alarm(clock.now() + idleConnectionMs, () => socket.destroy());
  let cancel = alarm();
  socket.on("error", () => socket.destroy());
  socket.on("close", () => cancel());
  socket.on("data", (chunk) => {
    cancel();
    cancel = alarm();
    bytes = Buffer.concat([bytes, chunk]);
    for (let whole = unframed(bytes); whole; whole = unframed(bytes)) {
      bytes = whole.rest;
      void answer(whole.message, (found) => socket.writable && socket.write(framed(found)));
    }
  });
}

/** As Node.js writes them: `10.0.0.2`, `10.0.0.2:5353`, `[fd00::2]:5353`. */
export function resolverAt(text: string): HostPort | undefined {
  if (isIPv6(text)) return { address: text, port: 53 };
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  return address === undefined ? undefined : { address, port: Number(port ?? 53) };
}
