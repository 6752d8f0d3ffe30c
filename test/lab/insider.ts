// A process inside a host of a test's network: an application and a client that know nothing of any mesh, told over Node's own channel
// what to do. It runs as a user who is not the proxy's, and ends with the test.

import { fork } from "node:child_process";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { type Answer, type App, get, startApp } from "./http.ts";
import { type Load, load } from "./load.ts";
import type { NetHost } from "./namespaces.ts";

export interface Insider {
  /** An HTTP server that says this name, on all addresses. */
  serve(name: string, port: number): Promise<void>;
  /** Ends its servers, and their connections. */
  die(): Promise<void>;
  /** The address that a name has in this family. */
  lookup(name: string, family: 4 | 6): Promise<string>;
  /** Over a connection of its own. Rejects where there is no HTTP answer. */
  get(url: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** Connects with TLS, naming this server, and takes whatever certificate there is. Rejects where there is no TLS. */
  tls(host: string, port: number, serverName: string): Promise<void>;
  /** What a server says first, to who says nothing. Rejects where it says nothing in ten seconds. */
  hear(host: string, port: number): Promise<string>;
  /** Requests on connections that are kept, at this rate, until they are stopped. */
  load(url: string, perSecond: number): Promise<RemoteLoad>;
}

export type RemoteLoad = Pick<Load, "next" | "stop">;

type Order =
  | { readonly kind: "load"; readonly url: string; readonly perSecond: number }
  | { readonly kind: "next"; readonly load: number; readonly count: number }
  | { readonly kind: "stop"; readonly load: number }
  | { readonly kind: "serve"; readonly name: string; readonly port: number }
  | { readonly kind: "die" }
  | { readonly kind: "lookup"; readonly name: string; readonly family: 4 | 6 }
  | { readonly kind: "get"; readonly url: string; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: "tls"; readonly host: string; readonly port: number; readonly serverName: string }
  | { readonly kind: "hear"; readonly host: string; readonly port: number };
type Said = { readonly result?: unknown; readonly error?: string };

export async function startInsider(
  of: { atEnd(end: () => Promise<unknown>): void },
  host: NetHost,
  user = 65534,
): Promise<Insider> {
  const [command, ...args] = host.inside(process.execPath);
  const child = fork(fileURLToPath(import.meta.url), [String(user)], { execPath: command, execArgv: args });
  const gone = once(child, "exit");
  of.atEnd(() => {
    child.kill("SIGKILL");
    return gone;
  });
  const waiting = new Map<number, (said: Said) => void>();
  let orders = 0;
  const started = once(child, "message");
  const ended = gone.then(([code, signal]): never => {
    throw new Error(`the process in ${host.address} ended: ${signal ?? code}`);
  });
  ended.catch(() => {});
  await Promise.race([started, ended]);
  child.on("message", ({ number, said }: { number: number; said: Said }) => {
    waiting.get(number)?.(said);
    waiting.delete(number);
  });
  const order = async <Result>(of: Order): Promise<Result> => {
    const number = orders++;
    const said = new Promise<Said>((resolve) => waiting.set(number, resolve));
    child.send({ number, order: of });
    const { result, error } = await Promise.race([said, ended]);
    if (error !== undefined) throw new Error(error);
    return result as Result;
  };
  return {
    get: (url, headers = {}) => order({ kind: "get", url, headers }),
    tls: async (at, port, serverName) => void (await order({ kind: "tls", host: at, port, serverName })),
    hear: (at, port) => order({ kind: "hear", host: at, port }),
    die: async () => void (await order({ kind: "die" })),
    lookup: (name, family) => order({ kind: "lookup", name, family }),
    serve: async (name, port) => void (await order({ kind: "serve", name, port })),
    async load(url, perSecond) {
      const number = await order<number>({ kind: "load", url, perSecond });
      return {
        next: (count) => order({ kind: "next", load: number, count }),
        stop: () => order({ kind: "stop", load: number }),
      };
    },
  };
}

const loads: Load[] = [];

/** This file is the process, too. */
if (process.argv[1] === fileURLToPath(import.meta.url) && process.send) {
  process.setuid?.(Number(process.argv[2]));
  process.on("disconnect", () => process.exit());
  process.on("message", async ({ number, order }: { number: number; order: Order }) => {
    const said = await carriedOut(order).then(
      (result) => ({ result }),
      (error: Error & { code?: string }) => ({ error: `${error.code ?? ""} ${error.message}` }),
    );
    process.send?.({ number, said });
  });
  process.send("started");
}

const apps: App[] = [];

async function carriedOut(order: Order): Promise<unknown> {
  switch (order.kind) {
    case "get":
      return get(order.url, { connection: "close", ...order.headers });
    case "load":
      return loads.push(load(order.url, 4, false, order.perSecond)) - 1;
    case "next":
      return loads[order.load]?.next(order.count);
    case "stop":
      return loads[order.load]?.stop();
    case "serve":
      apps.push(await startApp(order.name, "::", order.port));
      return undefined;
    case "die":
      for (const app of apps.splice(0)) await app.close();
      return undefined;
    case "lookup":
      return (await lookup(order.name, { family: order.family })).address;
    case "tls": {
      const { host, port, serverName: servername } = order;
      const socket = connect({ host, port, servername, rejectUnauthorized: false });
      await once(socket, "secureConnect").finally(() => socket.destroy());
      return undefined;
    }
    case "hear": {
      const socket = connectTcp({ host: order.host, port: order.port });
      const [text] = await once(socket, "data", { signal: AbortSignal.timeout(10_000) }).finally(() =>
        socket.destroy(),
      );
      return String(text);
    }
  }
}
