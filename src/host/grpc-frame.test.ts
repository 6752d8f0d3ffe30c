import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { defaultMaxMessageBytes, type Frame, framed, frameParser, messageOf } from "#host/grpc-frame.ts";
import { GrpcError, grpcCode } from "#host/world.ts";

function parsed(chunks: readonly Uint8Array[], maxMessageBytes = defaultMaxMessageBytes): readonly Frame[] {
  const parser = frameParser(maxMessageBytes);
  const frames: Frame[] = [];
  for (const chunk of chunks) parser.push(chunk, (frame) => frames.push(frame));
  assert.equal(parser.isInside, false);
  return frames;
}

/** The bytes in chunks that end at these fractions of the whole. */
function cut(bytes: Uint8Array, fractions: readonly number[]): readonly Uint8Array[] {
  const ends = [...fractions.map((fraction) => Math.floor(fraction * bytes.length)), bytes.length].sort(
    (a, b) => a - b,
  );
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

const refusal = (code: number, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof GrpcError);
  assert.equal(error.status.code, code);
  assert.match(error.status.message, message);
  return true;
};

const bytes = fc.uint8Array({ maxLength: 300 });
const message = fc.record({ pieces: fc.array(bytes, { maxLength: 4 }), gzip: fc.boolean() });

test("what was framed is parsed again, however the bytes are cut into chunks", () => {
  const fraction = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), fc.array(fraction, { maxLength: 40 }), (messages, fractions) => {
      const wire = Buffer.concat(messages.flatMap(({ pieces, gzip }) => framed(pieces, gzip)));
      const received = parsed(cut(wire, fractions)).map((frame) => messageOf(frame, "gzip", defaultMaxMessageBytes));
      assert.deepEqual(
        received.map((bytes) => Buffer.from(bytes)),
        messages.map(({ pieces }) => Buffer.concat(pieces)),
      );
    }),
    { numRuns: 500 },
  );
});

test("a large message that arrives byte by byte is whole", () => {
  const sent = randomBytes(20_000);
  const wire = Buffer.concat(framed([sent], false));
  const [frame] = parsed(Array.from(wire, (_, at) => wire.subarray(at, at + 1)));
  assert.deepEqual(frame?.bytes, sent);
});

test("pieces of a large message are written as they are, not copied; a small one is written at once", () => {
  const pieces = [Buffer.alloc(40_000), Buffer.from("two")];
  const [header, ...rest] = framed(pieces, false);
  assert.deepEqual(header, Buffer.from([0, 0, 0, 0x9c, 0x43]));
  assert.equal(rest.length, 2);
  assert.ok(rest.every((piece, index) => piece === pieces[index]));
  assert.deepEqual(framed([Buffer.from("one"), Buffer.from("two")], false), [Buffer.from("\0\0\0\0\x06onetwo")]);
});

test("an empty message is not compressed", () => {
  assert.deepEqual(framed([], true), [Buffer.from([0, 0, 0, 0, 0])]);
});

test("a message that is too large is refused when its length is announced, with size and limit", () => {
  const parser = frameParser(10);
  const header = Buffer.from([0, 0, 0, 0, 11]);
  assert.throws(
    () => parser.push(header, () => assert.fail("no message")),
    refusal(grpcCode.resourceExhausted, /^a message of 11 bytes is larger than the limit of 10 bytes$/),
  );
  assert.equal(parsed([Buffer.from([0, 0, 0, 0, 10]), Buffer.alloc(10)], 10).length, 1);
});

test("a small message that decompresses to a large one is refused", () => {
  const bomb = { compressed: true, bytes: gzipSync(Buffer.alloc(1_000_000)) };
  assert.throws(
    () => messageOf(bomb, "gzip", 999_999),
    refusal(
      grpcCode.resourceExhausted,
      /^a message of \d+ bytes is larger when decompressed than the limit of 999999 bytes$/,
    ),
  );
  assert.equal(messageOf(bomb, "gzip", 1_000_000).length, 1_000_000);
});

test("a compressed message without an encoding, or that is not gzip, is refused", () => {
  const frame = { compressed: true, bytes: Buffer.from("plain") };
  assert.throws(() => messageOf(frame, undefined, 100), refusal(grpcCode.internal, /no grpc-encoding/));
  assert.throws(() => messageOf(frame, "snappy", 100), refusal(grpcCode.internal, /"snappy"/));
  assert.throws(() => messageOf(frame, "gzip", 100), refusal(grpcCode.internal, /not valid gzip/));
});

test("a parser knows whether a message has begun", () => {
  const parser = frameParser(10);
  parser.push(Buffer.from([0, 0, 0]), () => assert.fail("no message"));
  assert.equal(parser.isInside, true);
  let received = 0;
  parser.push(Buffer.from([0, 1, 7]), () => received++);
  assert.equal(received, 1);
  assert.equal(parser.isInside, false);
});
