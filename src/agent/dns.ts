// DNS beside a proxy, over UDP and TCP: an application's questions come here by the redirect (decision 16).

import { createSocket, type Socket as Datagrams } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, isIPv6, type Server, type Socket } from "node:net";
import { dnsAnswer } from "#agent/dns-answer.ts";
import { askOnce, framed, openAsker, unframed } from "#agent/dns-ask.ts";
import { alarmsOf } from "#host/alarm.ts";
import { whyNotListening } from "#host/connection-failure.ts";
import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import { type HostPort, hostPortText } from "#lib/address.ts";
import { KodiakError } from "#lib/failure.ts";

export interface DnsOptions {
  /** On 127.0.0.1 and, where this machine has it, [::1], UDP and TCP; 0: a free one. */
  readonly port: number;
  /** Of Envoy's DNS listener on 127.0.0.1. */
  readonly envoyPort: number;
  /** For names that are not the mesh's, in this order, as they are when they are asked. */
  readonly resolvers: () => readonly HostPort[];
}

export interface DnsServer {
  readonly port: number;
  /** Where it listens. */
  readonly hosts: readonly string[];
  close(): void;
}

const localhost = "127.0.0.1";
/** Where a question goes that an application has sent to a resolver with an IPv6 address: the redirect keeps the family. */
const localhost6 = "::1";
const envoyTimeoutMs = 500;
const resolverTimeoutMs = 2_000;
const idleConnectionMs = 10_000;
const mostConnections = 256;
/** Under way at a time; more are not answered, and are asked again. */
const mostQuestions = 4_096;

/** Rejects with `unavailable` where the port is taken. */
export async function serveDns({ port, envoyPort, resolvers }: DnsOptions, log: Log): Promise<DnsServer> {
  const clock: Clock = { now: Date.now, alarm: alarmsOf(Date.now) };
  const entrances = await listening(port);
  const envoy = openAsker({ address: localhost, port: envoyPort }, clock, envoyTimeoutMs);
  let underWay = 0;

  async function ofOthers(message: Buffer, over: "udp" | "tcp"): Promise<Buffer> {
    let last: unknown = new KodiakError({ kind: "unavailable", what: "this machine has no resolver for other names" });
    for (const at of resolvers()) {
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
  for (const { tcp, udp } of entrances) {
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
  }
  return {
    port: entrances[0].port,
    hosts: entrances.map(({ host }) => host),
    close() {
      closed = true;
      for (const one of entrances) closeEntrance(one);
      for (const socket of connections) socket.destroy();
      envoy.close();
    },
  };
}

interface Entrance {
  readonly host: string;
  readonly port: number;
  readonly tcp: Server;
  readonly udp: Datagrams;
}

function closeEntrance({ tcp, udp }: Pick<Entrance, "tcp" | "udp">): void {
  udp.close();
  tcp.close();
}

/** At one port of both families, or of the one that this machine has. */
async function listening(port: number): Promise<readonly [Entrance, ...Entrance[]]> {
  const first = await entranceAt(localhost, port);
  try {
    return [first, await entranceAt(localhost6, first.port)];
  } catch (error) {
    const { code } = (error as KodiakError).cause as NodeJS.ErrnoException;
    if (code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT") return [first];
    closeEntrance(first);
    throw error;
  }
}

/** Rejects with `unavailable`, and the machine's error as the cause. */
async function entranceAt(host: string, port: number): Promise<Entrance> {
  const tcp = createServer();
  const udp = host === localhost6 ? createSocket({ type: "udp6", ipv6Only: true }) : createSocket("udp4");
  try {
    await once(tcp.listen({ port, host, ipv6Only: true }), "listening");
    const { port: taken } = tcp.address() as AddressInfo;
    await once(udp.bind(taken, host), "listening");
    return { host, port: taken, tcp, udp };
  } catch (error) {
    closeEntrance({ tcp, udp });
    const at = hostPortText({ address: host, port });
    throw new KodiakError(
      {
        kind: "unavailable",
        what: `DNS cannot be answered on ${at}: ${whyNotListening(error)} with --dns-port, 0 for any free one`,
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
