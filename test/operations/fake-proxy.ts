// A proxy of a lab's zone without an Envoy: it asks, acknowledges and remembers as an Envoy would, over a plain HTTP/2 connection
// of its own, with the small windows that HTTP/2 begins with.

import { once } from "node:events";
import { connect, type IncomingHttpHeaders } from "node:http2";
import type { EnvoyType } from "#discovery/order.ts";
import { framed, frameParser } from "#host/grpc-frame.ts";
import { adsPath } from "#xds/server.ts";
import { fakeEnvoy } from "../../bench/fake-envoy.ts";
import { requestBytes, responseOf } from "../../bench/fake-messages.ts";
import { type Lab, type LabZone, patience } from "../lab/lab.ts";

export interface Received {
  readonly type: EnvoyType;
  readonly names: readonly string[];
}

export interface FakeProxy {
  /** Every response since it connected. */
  readonly received: readonly Received[];
  /** It has all that it needs, and has acknowledged it. */
  readonly isComplete: boolean;
  /** How its stream ended; without a status of the control plane the code is -1. */
  readonly ended: Promise<{ readonly code: number; readonly message: string }>;
  /** What it has of a type: versions by name. */
  held(type: EnvoyType): ReadonlyMap<string, string>;
  /** Resolves when it holds, which is looked at after each response. */
  until(what: string, holds: () => boolean): Promise<void>;
  /** Stops reading its stream. */
  pause(): void;
  resume(): void;
}

const maxMessageBytes = 10 * 1024 * 1024;

/**
 * Resolves when it has all that it needs. `dataplane`: what it brings, a ZoneIngress too, or only its mesh and name. `port`: another
 * one than the zone's, which leads there.
 */
export async function startFakeProxy(
  of: Lab,
  zone: LabZone,
  dataplane: { readonly mesh?: string; readonly name: string } & object,
  token: string,
  port = zone.dpPort,
): Promise<FakeProxy> {
  const { mesh = "", name } = dataplane;
  const session = connect(`https://127.0.0.1:${port}`, { ca: zone.certificate });
  of.atEnd(async () => session.destroy());
  await once(session, "connect");
  const stream = session.request({
    ...{ ":method": "POST", ":path": adsPath, "content-type": "application/grpc", te: "trailers" },
    authorization: token,
  });
  const received: Received[] = [];
  const held = new Map<EnvoyType, Map<string, string>>();
  const waiting = new Set<(lost?: Error) => void>();
  const metadata = {
    ...("type" in dataplane && { "dataplane.resource": JSON.stringify(dataplane) }),
    "dataplane.proxyType": mesh === "" ? "ingress" : "dataplane",
  };
  const envoy = fakeEnvoy({ node: { id: `${mesh}.${name}`, metadata } });
  const receive = (bytes: Uint8Array): void => {
    const response = responseOf(bytes);
    const { type, resources, removed } = response;
    const own = held.get(type) ?? new Map<string, string>();
    held.set(type, own);
    for (const { name, version } of resources) own.set(name, version);
    for (const gone of removed) own.delete(gone);
    received.push({ type, names: [...resources.map(({ name }) => name), ...removed] });
    envoy.receive(response);
    for (const check of [...waiting]) check();
  };
  const parser = frameParser(maxMessageBytes);
  stream.on("data", (chunk: Buffer) => parser.push(chunk, ({ bytes }) => receive(bytes)));
  stream.on("error", () => {});
  const ended = Promise.withResolvers<{ readonly code: number; readonly message: string }>();
  const endsWith = (headers: IncomingHttpHeaders): void => {
    if (headers["grpc-status"] === undefined) return;
    ended.resolve({
      code: Number(headers["grpc-status"]),
      message: decodeURIComponent(String(headers["grpc-message"] ?? "")),
    });
    lost();
  };
  const lost = (): void => {
    for (const check of [...waiting]) check(new Error(`${name} lost its stream`));
  };
  stream.on("trailers", endsWith);
  stream.once("response", endsWith);
  stream.once("close", () => {
    ended.resolve({ code: -1, message: "the connection was lost" });
    lost();
  });
  const proxy: FakeProxy = {
    received,
    ended: ended.promise,
    get isComplete() {
      return envoy.isComplete;
    },
    held: (type) => held.get(type) ?? new Map(),
    until: (what, holds) =>
      new Promise((resolve, reject) => {
        const done = (error?: Error): void => {
          waiting.delete(check);
          cancel();
          if (error) reject(error);
          else resolve();
        };
        const cancel = of.world.clock.alarm(of.world.clock.now() + 10_000 * patience, () =>
          done(new Error(`${name} waited in vain: ${what}`)),
        );
        const check = (lost?: Error): void => {
          if (lost || holds()) done(lost);
        };
        waiting.add(check);
        check();
      }),
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
  };
  envoy.open((type, request) => {
    for (const part of framed([requestBytes(type, request)], false)) stream.write(part);
  });
  await proxy.until("all that it needs", () => proxy.isComplete);
  return proxy;
}
