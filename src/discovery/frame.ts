// Discovery responses as bytes. An item is encoded once; a response is pieces, its items' own bytes among them, shared by
// all streams. Joined, the pieces are byte for byte what protobuf-es makes of the same message: a message's fields may be
// encoded apart and joined, and fields 1 and 4 to 7 lie around the resources, which are field 2.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import type { Item } from "#discovery/item.ts";
import {
  DeltaDiscoveryResponseSchema,
  type Resource,
  ResourceSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { sha256Hex } from "#lib/hash.ts";

/** `value` is the encoded message, of the type `type.googleapis.com/…`; its lower-case hex SHA-256 is the version. */
export function encodeItem(name: string, typeUrl: string, value: Uint8Array): Item {
  const version = sha256Hex(value);
  const resource = create(ResourceSchema, { name, version, resource: { typeUrl, value } });
  return { name, version, bytes: encodeResponse({ resources: [resource] }) };
}

/** What `bytes` holds. */
export const resourceIn = ({ bytes }: Item): Resource | undefined =>
  fromBinary(DeltaDiscoveryResponseSchema, bytes).resources[0];

const encodeResponse = (response: MessageInitShape<typeof DeltaDiscoveryResponseSchema>): Uint8Array =>
  toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, response));

/** Of `google.rpc.Code`. */
const notFound = 5;

export interface ResponseFrame {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly upsert: readonly Item[];
  readonly remove: readonly string[];
  /** Not there, and perhaps never deleted: `resource_errors`, not found. Only between Kodiaks. */
  readonly absent?: readonly string[];
  /** `system_version_info`. */
  readonly revision?: string;
  /** `control_plane.identifier`. */
  readonly controlPlane?: string;
}

/** A `DeltaDiscoveryResponse`; the pieces are to be written one after the other. */
export function framed(response: ResponseFrame): readonly Uint8Array[] {
  const { typeUrl, nonce, upsert, remove, absent = [], revision = "", controlPlane } = response;
  const pieces: Uint8Array[] = revision === "" ? [] : [textField(fields.systemVersionInfo.number, revision)];
  if (upsert.length < manyItems) for (const { bytes } of upsert) pieces.push(bytes);
  else pieces.push(joinedOf(typeUrl, upsert));
  if (typeUrl !== "") pieces.push(typeUrlField(typeUrl));
  if (nonce !== "") pieces.push(textField(fields.nonce.number, nonce));
  if (remove.length > 0) pieces.push(joined(remove.map((name) => textField(fields.removedResources.number, name))));
  if (controlPlane !== undefined) pieces.push(controlPlaneField(controlPlane));
  if (absent.length > 0) pieces.push(errorsOf(absent));
  return pieces;
}

/** To write so many pieces costs more than to join them, once for all who get the same. */
const manyItems = 64;
/** What was joined last, by type: a change goes to many peers one after the other. */
const joinedLast = new Map<string, { readonly items: readonly Item[]; readonly bytes: Uint8Array }>();

function joinedOf(typeUrl: string, items: readonly Item[]): Uint8Array {
  const last = joinedLast.get(typeUrl);
  if (last?.items.length === items.length && last.items.every((item, i) => item === items[i])) return last.bytes;
  const bytes = joined(items.map(({ bytes }) => bytes));
  joinedLast.set(typeUrl, { items, bytes });
  return bytes;
}

const errorsOf = (absent: readonly string[]): Uint8Array =>
  encodeResponse({
    resourceErrors: absent.map((name) => ({ resourceName: { name }, errorDetail: { code: notFound } })),
  });

// What every response has is made once, or written by hand, as that is done for each stream: with the library it took as long as all else.

const fields = DeltaDiscoveryResponseSchema.field;
const encoder = new TextEncoder();

const typeUrlField = remembered((typeUrl) => textField(fields.typeUrl.number, typeUrl));
const controlPlaneField = remembered((identifier) => encodeResponse({ controlPlane: { identifier } }));

/** For a handful of texts. */
function remembered(make: (text: string) => Uint8Array): (text: string) => Uint8Array {
  const made = new Map<string, Uint8Array>();
  return (text) => {
    const known = made.get(text) ?? make(text);
    made.set(text, known);
    return known;
  };
}

function textField(field: number, text: string): Uint8Array {
  // Of a short text the encoder takes longer to be called than it works.
  return (text.length < 0x80 && asciiField(field, text)) || encodedField(field, encoder.encode(text));
}

function asciiField(field: number, text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length + 2);
  bytes[0] = tagOf(field);
  bytes[1] = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return undefined;
    bytes[i + 2] = code;
  }
  return bytes;
}

function encodedField(field: number, content: Uint8Array): Uint8Array {
  const head = [tagOf(field)];
  let rest = content.length;
  for (; rest > 0x7f; rest >>>= 7) head.push((rest & 0x7f) | 0x80);
  head.push(rest);
  return joined([Uint8Array.from(head), content]);
}

/** All of these fields have numbers below 16. */
const tagOf = (field: number): number => (field << 3) | WireType.LengthDelimited;

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
