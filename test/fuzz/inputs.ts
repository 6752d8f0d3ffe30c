// What is sent to ports: valid messages, changed here and there, and what never was one. Pure data, made from a seed.

import { gzipSync } from "node:zlib";
import fc from "fast-check";
import type { Chance } from "../simulation/random.ts";
import { anyBytes, kept, listOf, type Make, number, oneOf, picked, supplied } from "./made.ts";

export interface HttpInput {
  readonly kind: "http";
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}
export interface GrpcInput {
  readonly kind: "grpc";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** All that the stream sends. */
  readonly bytes: Buffer;
  /** Then it is half-closed, or reset; `answered`: half-closed when something has come that contains this text. */
  readonly ending: "half-close" | "reset" | { readonly answered: string };
}
/** One connection: of TLS with that protocol, or of TCP. */
export interface RawInput {
  readonly kind: "raw";
  readonly protocol: "h2" | "http/1.1" | "tcp";
  readonly bytes: Buffer;
}
export type Input = HttpInput | GrpcInput | RawInput;

/** One of these with some bytes changed, none more often than many. */
export const mutated =
  (bases: readonly (Buffer | string)[]): Make<Buffer> =>
  (of) => {
    let bytes: Buffer = Buffer.from(of.pick(bases));
    for (let left = of.between(0, 5); left > 0; left--) bytes = mutation(bytes, of);
    return bytes;
  };

const fewBytes = anyBytes(1, 8);

function mutation(bytes: Buffer, of: Chance): Buffer {
  const at = of.between(0, Math.max(0, bytes.length - 1));
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (of.between(0, 4)) {
    case 0:
      return Buffer.concat([before, fewBytes(of), after]);
    case 1:
      return Buffer.concat([before, after.subarray(of.between(1, 64))]);
    case 2:
      return Buffer.concat([before, after.subarray(0, of.between(1, 64)), after]);
    case 3:
      return Buffer.from(before);
    default: {
      const more = fewBytes(of).subarray(0, after.length);
      return Buffer.concat([before, more, after.subarray(more.length)]);
    }
  }
}

export const oddTexts: readonly string[] = [
  "",
  "__proto__",
  "constructor",
  "../../etc/passwd",
  "\0",
  "\ud800",
  "%00",
  "default",
  "a".repeat(5_000),
];
/** Stands for what is deeper or more than is worth writing anew each time. */
const large = JSON.stringify("how large");
const larges: readonly string[] = [
  ...[100, 1_000, 10_000].map((depth) => `${'{"a":['.repeat(depth)}1${"]}".repeat(depth)}`),
  JSON.stringify(Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`m${i}`, i]))),
  JSON.stringify(Array.from({ length: 5_000 }, () => 0)),
];
const inJson = (...values: readonly unknown[]): Make<string> => picked(...values.map((value) => JSON.stringify(value)));
const oddValue: Make<string> = oneOf<string>(
  [10, inJson(...oddTexts, null, true, -1, 0, 1e308, 2 ** 53, [], {}, { "": [[[[]]]] })],
  [5, supplied(fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.stringify(value)))],
  [1, picked(large)],
);

/** One of these objects with some of its members, however deep, replaced, removed or called otherwise; as JSON. */
export function mutatedJson(bases: readonly object[]): Make<string> {
  const texts = bases.map((base) => JSON.stringify(base));
  return (of) => {
    const root = JSON.parse(of.pick(texts));
    for (let left = of.between(0, 4); left > 0; left--) {
      const places = placesIn(root);
      if (places.length === 0) break;
      const [parent, key] = of.pick(places);
      const what = of.pick(["set", "set", "remove", "name"]);
      if (what === "set") Reflect.set(parent, key, JSON.parse(oddValue(of)));
      else {
        if (what === "name") Reflect.set(parent, of.pick(oddTexts), Reflect.get(parent, key));
        Reflect.deleteProperty(parent, key);
      }
    }
    const text = JSON.stringify(root) ?? "";
    return text.includes(large) ? text.replaceAll(large, () => of.pick(larges)) : text;
  };
}

/** Not all of what is endless. */
const mostDepth = 12;
type Place = readonly [parent: object, key: string];
function placesIn(value: unknown, depth = 0, found: Place[] = []): readonly Place[] {
  if (typeof value !== "object" || value === null || depth > mostDepth) return found;
  for (const key of Object.keys(value).slice(0, 50)) {
    found.push([value, key]);
    placesIn(Reflect.get(value, key), depth + 1, found);
  }
  return found;
}

const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024), { level: 1 });

export function frame(message: Uint8Array, flags = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(length >>> 0, 1);
  return Buffer.concat([head, message]);
}

/** The smallest window: to begin costs more than to compress. */
const packed = (message: Buffer): Buffer => gzipSync(message, { level: 1, windowBits: 9, memLevel: 1 });

/** gRPC's frames around messages: mostly as they should be, some that lie about their length or what they are. */
export function framesOf(messages: Make<Buffer>): Make<Buffer> {
  const one = oneOf<Buffer>(
    [40, (of) => frame(messages(of))],
    [4, kept((of) => frame(packed(messages(of)), 1))],
    [1, (of) => frame(messages(of), of.between(0, 255))],
    [1, (of) => frame(messages(of), 0, number(of))],
    [1, picked(frame(Buffer.alloc(9), 0, 0xffff_ffff), frame(Buffer.alloc(9), 0, 10 * 1024 * 1024))],
  );
  const many = listOf(one, 4);
  return oneOf<Buffer>([500, (of) => Buffer.concat(many(of))], [1, picked(frame(bomb, 1))]);
}

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const h2Frame = (type: number, flags: number, stream: number, payload: readonly number[]): Buffer =>
  Buffer.from([0, payload.length >> 8, payload.length & 255, type, flags, 0, 0, 0, stream, ...payload]);
/** `:method GET`, `:scheme https`, `:path /` of HPACK's static table. */
const getRoot = [0x82, 0x87, 0x84];
const begun = Buffer.concat([preface, h2Frame(4, 0, 0, [])]);
/** Settings, headers, data; headers without end; resets; pings; windows that grow too large; empty frames. */
const http2 = [
  Buffer.concat([begun, h2Frame(1, 5, 1, getRoot)]),
  Buffer.concat([begun, h2Frame(4, 0, 0, [0, 3, 0, 0, 0, 100]), h2Frame(1, 4, 1, getRoot), h2Frame(0, 1, 1, [1, 2])]),
  Buffer.concat([begun, h2Frame(1, 0, 1, getRoot), ...Array(50).fill(h2Frame(9, 0, 1, [0x82]))]),
  Buffer.concat([
    begun,
    ...Array(200).fill(Buffer.concat([h2Frame(1, 5, 1, getRoot), h2Frame(3, 0, 1, [0, 0, 0, 8])])),
  ]),
  Buffer.concat([begun, ...Array(200).fill(h2Frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]))]),
  Buffer.concat([begun, h2Frame(8, 0, 0, [0x7f, 255, 255, 255]), h2Frame(8, 0, 0, [0x7f, 255, 255, 255])]),
  Buffer.concat([begun, h2Frame(1, 4, 1, getRoot), ...Array(500).fill(h2Frame(0, 0, 1, []))]),
];
const http1 = [
  "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
  "POST /bootstrap HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n{}",
  "POST /bootstrap HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
  "POST /bootstrap HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
  "GET / HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\nconnection: upgrade\r\nexpect: 100-continue\r\n\r\n",
  `GET /${"a".repeat(20_000)} HTTP/1.1\r\nhost: a\r\n\r\n`,
  `GET / HTTP/1.1\r\n${"a: b\r\n".repeat(3_000)}\r\n`,
];
/** The head of a ClientHello, and lengths that promise more than comes. */
const tls = [
  Buffer.from("16030100f4010000f00303", "hex"),
  Buffer.from("1603010200010001fc0303", "hex"),
  Buffer.from("15030100020100", "hex"),
];

const raw =
  (protocol: RawInput["protocol"], bytes: Make<Buffer>): Make<RawInput> =>
  (of) => ({ kind: "raw", protocol, bytes: bytes(of) });
const noise = anyBytes(0, 300);

/** Of a port that speaks TLS. */
export const rawTls: Make<RawInput> = oneOf(
  [3, raw("h2", mutated(http2))],
  [2, raw("http/1.1", mutated(http1))],
  [1, raw("h2", noise)],
  [1, raw("tcp", mutated([...tls, ...http1]))],
);
/** Of one that does not. */
export const rawTcp: Make<RawInput> = raw("tcp", oneOf([1, mutated([...http1, ...http2])], [1, noise]));

/** Mostly `those`; a connection for a single input costs a hundred times as much as a stream of one that stands. */
export const withRaw = (those: Make<Input>, raws: Make<RawInput>): Make<Input> => oneOf<Input>([40, those], [1, raws]);
