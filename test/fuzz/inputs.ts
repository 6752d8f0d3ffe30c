// What is sent to ports: valid messages, changed here and there, and what never was one. Pure data, made from a seed.

import { gzipSync } from "node:zlib";
import fc from "fast-check";

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

const mutation = fc.record({
  what: fc.constantFrom("flip", "insert", "remove", "repeat", "cut"),
  at: fc.nat(),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
  size: fc.integer({ min: 1, max: 64 }),
});

/** One of these with some bytes changed, none more often than many. */
export const mutated = (bases: readonly (Buffer | string)[]): fc.Arbitrary<Buffer> =>
  fc.tuple(fc.constantFrom(...bases), fc.array(mutation, { maxLength: 5 })).map(([base, mutations]) =>
    mutations.reduce((bytes, { what, at, bytes: more, size }) => {
      const from = bytes.length === 0 ? 0 : at % bytes.length;
      const [before, after] = [bytes.subarray(0, from), bytes.subarray(from)];
      switch (what) {
        case "insert":
          return Buffer.concat([before, more, after]);
        case "remove":
          return Buffer.concat([before, after.subarray(size)]);
        case "repeat":
          return Buffer.concat([before, after.subarray(0, size), after]);
        case "cut":
          return before;
        default:
          return Buffer.concat([before, more.subarray(0, after.length), after.subarray(more.length)]);
      }
    }, Buffer.from(base)),
  );

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
/** Stands for what is deeper than `JSON.stringify` writes. */
const deep = "how deep";
const deeply = [100, 1_000, 10_000].map((depth) => `${'{"a":['.repeat(depth)}1${"]}".repeat(depth)}`);
const many: readonly unknown[] = [
  Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`m${i}`, i])),
  Array.from({ length: 5_000 }, () => 0),
];
const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.constantFrom<unknown>(...oddTexts, null, true, -1, 0, 1e308, 2 ** 53, [], {}, { "": [[[[]]]] }),
  },
  { weight: 5, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  { weight: 1, arbitrary: fc.constantFrom(deep, ...many) },
);

/** One of these objects with some of its members, however deep, replaced, removed or called otherwise; as JSON. */
export const mutatedJson = (bases: readonly object[]): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom(...bases),
      fc.array(fc.record({ at: fc.nat(), what: fc.constantFrom("set", "set", "remove", "name"), value: oddValue }), {
        maxLength: 4,
      }),
    )
    .map(([base, changes]) => {
      const root = structuredClone(base);
      for (const { at, what, value } of changes) {
        const places = placesIn(root);
        const place = places[at % places.length];
        if (!place) break;
        const [parent, key] = place;
        if (what === "set") Reflect.set(parent, key, structuredClone(value));
        else {
          if (what === "name") Reflect.set(parent, String(oddTexts[at % oddTexts.length]), Reflect.get(parent, key));
          Reflect.deleteProperty(parent, key);
        }
      }
      return (JSON.stringify(root) ?? "").replaceAll(`"${deep}"`, deeply[changes.length % deeply.length] ?? "");
    });

/** Not all of what is endless. */
const mostDepth = 12;
function placesIn(value: unknown, depth = 0): readonly (readonly [object, string])[] {
  if (typeof value !== "object" || value === null || depth > mostDepth) return [];
  const names = Object.keys(value).slice(0, 50);
  return names.flatMap((key) => [[value, key] as const, ...placesIn(Reflect.get(value, key), depth + 1)]);
}

const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));

export function frame(message: Uint8Array, flags = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(length >>> 0, 1);
  return Buffer.concat([head, message]);
}

/** gRPC's frames around messages: mostly as they should be, some that lie about their length or what they are. */
export function framesOf(messages: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const one = fc.oneof(
    { weight: 40, arbitrary: messages.map((message) => frame(message, 0)) },
    { weight: 4, arbitrary: messages.map((message) => frame(gzipSync(message), 1)) },
    { weight: 1, arbitrary: fc.tuple(messages, fc.nat(255)).map(([message, flags]) => frame(message, flags)) },
    { weight: 1, arbitrary: fc.tuple(messages, fc.nat()).map(([message, length]) => frame(message, 0, length)) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(frame(Buffer.alloc(9), 0, 0xffff_ffff), frame(Buffer.alloc(9), 0, 10 * 1024 * 1024)),
    },
  );
  const many = fc.array(one, { maxLength: 4 }).map((frames) => Buffer.concat(frames));
  return fc.oneof({ weight: 500, arbitrary: many }, { weight: 1, arbitrary: fc.constant(frame(bomb, 1)) });
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

const raw = (protocol: RawInput["protocol"], bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<RawInput> =>
  bytes.map((bytes) => ({ kind: "raw", protocol, bytes }));
const anyBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));

/** Of a port that speaks TLS. */
export const rawTls: fc.Arbitrary<RawInput> = fc.oneof(
  { weight: 3, arbitrary: raw("h2", mutated(http2)) },
  { weight: 2, arbitrary: raw("http/1.1", mutated(http1)) },
  { weight: 1, arbitrary: raw("h2", anyBytes) },
  { weight: 1, arbitrary: raw("tcp", mutated([...tls, ...http1])) },
);
/** Of one that does not. */
export const rawTcp: fc.Arbitrary<RawInput> = raw("tcp", fc.oneof(mutated([...http1, ...http2]), anyBytes));

/** Mostly `those`; a connection for a single input costs a hundred times as much as a stream of one that stands. */
export const withRaw = (those: fc.Arbitrary<Input>, raws: fc.Arbitrary<RawInput>): fc.Arbitrary<Input> =>
  fc.oneof({ weight: 40, arbitrary: those }, { weight: 1, arbitrary: raws });
