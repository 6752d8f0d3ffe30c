// Messages of protobuf that are well-formed and odd: fields that come again, are called otherwise, are of another type or unknown,
// nest deeper than anybody reads, hold text that is none, or say another length than they have.

import type { Chance } from "../simulation/random.ts";
import { mutated } from "./inputs.ts";
import { type Make, number, oneOf } from "./made.ts";

interface Field {
  readonly number: number;
  /** 0: a varint, 1: eight bytes, 2: bytes with their length, 5: four bytes. */
  readonly type: number;
  /** As after the tag, without the length. */
  readonly value: Buffer;
}

const kinds = ["repeat", "number", "type", "unknown", "nest", "text", "length", "remove", "empty"] as const;
interface Change {
  readonly what: (typeof kinds)[number];
  readonly by: number;
}

/** One of these with some fields changed, however deep, or some bytes. */
export const oddProtobuf = (bases: readonly Buffer[]): Make<Buffer> => {
  const change = (of: Chance, bytes: Buffer): Buffer => {
    const at = Array.from({ length: of.between(1, 6) }, () => of.between(0, 40));
    return changed(bytes, { what: of.pick(kinds), by: number(of) }, at);
  };
  return oneOf<Buffer>(
    [
      3,
      (of) => {
        let bytes = of.pick(bases);
        for (let left = of.between(0, 3); left > 0; left--) bytes = change(of, bytes);
        return bytes;
      },
    ],
    [1, mutated(bases)],
  );
};

/** What is no message stays as it is. */
function changed(bytes: Buffer, how: Change, [at = 0, ...deeper]: readonly number[]): Buffer {
  const fields = fieldsIn(bytes);
  if (!fields || fields.length === 0) return bytes;
  const index = at % fields.length;
  const field = fields[index]!;
  const isInside = deeper.length > 0 && field.type === 2 && (fieldsIn(field.value)?.length ?? 0) > 0;
  const now = isInside ? [written({ ...field, value: changed(field.value, how, deeper) })] : fieldChanged(field, how);
  return Buffer.concat([...fields.slice(0, index).map(written), ...now, ...fields.slice(index + 1).map(written)]);
}

const noText = [
  Buffer.from([0xff, 0xfe, 0x80]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from("\0\u202e"),
  Buffer.alloc(8_000, 97),
];
const depths = [50, 200, 1_000];

function fieldChanged(field: Field, { what, by }: Change): readonly Buffer[] {
  const asIs = written(field);
  switch (what) {
    case "repeat":
      return Array.from({ length: (by % 300) + 2 }, () => asIs);
    case "number":
      return [written({ ...field, number: (by % 536_870_911) + 1 })];
    case "type":
      return [Buffer.concat([varint(field.number * 8 + (by % 8)), field.value])];
    case "unknown":
      return [asIs, written({ number: 1_000 + (by % 100), type: 2, value: field.value })];
    case "nest":
      return [nested(field, depths[by % depths.length] ?? 0)];
    case "text":
      return [written({ ...field, type: 2, value: noText[by % noText.length] ?? Buffer.alloc(0) })];
    case "length":
      return [Buffer.concat([varint(field.number * 8 + 2), varint(by), field.value])];
    case "remove":
      return [];
    default:
      return [written({ ...field, value: Buffer.alloc(field.type === 0 ? 1 : 0) })];
  }
}

function nested({ number, value }: Field, depth: number): Buffer {
  const heads: Buffer[] = [];
  for (let inside = value.length; heads.length < depth; inside += heads.at(-1)!.length)
    heads.push(Buffer.concat([varint(number * 8 + 2), varint(inside)]));
  return Buffer.concat([...heads.reverse(), value]);
}

function written({ number, type, value }: Field): Buffer {
  const tag = varint(number * 8 + type);
  return type === 2 ? Buffer.concat([tag, varint(value.length), value]) : Buffer.concat([tag, value]);
}

function varint(value: number): Buffer {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  const bytes = Buffer.allocUnsafe(length);
  let rest = value;
  for (let at = 0; at < length; at++) {
    bytes[at] = (rest % 128) | (at < length - 1 ? 128 : 0);
    rest = Math.floor(rest / 128);
  }
  return bytes;
}

const sizes: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

/** What was read once: mostly it is what never changes. */
const read = new WeakMap<Buffer, readonly Field[] | "no message">();

/** `undefined`: these bytes are no message. */
function fieldsIn(bytes: Buffer): readonly Field[] | undefined {
  const fields = read.get(bytes) ?? fieldsOf(bytes) ?? "no message";
  read.set(bytes, fields);
  return fields === "no message" ? undefined : fields;
}

function fieldsOf(bytes: Buffer): readonly Field[] | undefined {
  const fields: Field[] = [];
  let at = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let factor = 1; at < bytes.length; factor *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    return Number.NaN;
  };
  while (at < bytes.length) {
    const tag = readVarint();
    const [number, type] = [Math.floor(tag / 8), tag % 8];
    if (!(number > 0)) return undefined;
    const size = type === 2 ? readVarint() : (sizes[type] ?? Number.NaN);
    const begin = at;
    const end = type === 0 ? endOfVarint() : begin + size;
    if (!(end <= bytes.length)) return undefined;
    fields.push({ number, type, value: bytes.subarray(begin, end) });
    at = end;
  }
  return fields;

  function endOfVarint(): number {
    readVarint();
    return at;
  }
}
