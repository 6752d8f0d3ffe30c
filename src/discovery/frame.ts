// Discovery responses as bytes. An item is encoded once; a response is pieces, its items' own bytes among them, shared by
// all streams. Joined, the pieces are byte for byte what protobuf-es makes of the same message: a message's fields may be
// encoded apart and joined, and fields 1 and 4 to 7 lie around the resources, which are field 2.

import { create, toBinary } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import type { Item } from "#discovery/item.ts";
import { ControlPlaneSchema } from "#gen/envoy/config/core/v3/base_pb.ts";
import { DeltaDiscoveryResponseSchema, ResourceSchema } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { sha256Hex } from "#lib/hash.ts";

/** `value` is the encoded message, of the type `type.googleapis.com/…`; its lower-case hex SHA-256 is the version. */
export function encodeItem(name: string, typeUrl: string, value: Uint8Array): Item {
  const version = sha256Hex(value);
  const resource = create(ResourceSchema, { name, version, resource: { typeUrl, value } });
  return { name, version, bytes: toBinary(ResourceSchema, resource) };
}

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
  return [
    ...(revision === "" ? [] : [textField(fields.systemVersionInfo.number, revision)]),
    ...(upsert.length < manyItems ? piecesOf(upsert) : [joinedOf(typeUrl, upsert)]),
    joined([
      ...(typeUrl === "" ? [] : [textField(fields.typeUrl.number, typeUrl)]),
      ...(nonce === "" ? [] : [textField(fields.nonce.number, nonce)]),
      ...remove.map((name) => textField(fields.removedResources.number, name)),
      ...(controlPlane === undefined ? [] : [controlPlaneField(controlPlane)]),
    ]),
    ...(absent.length === 0 ? [] : [errorsOf(absent)]),
  ].filter((piece) => piece.length > 0);
}

const piecesOf = (items: readonly Item[]): readonly Uint8Array[] =>
  items.flatMap(({ bytes }) => [fieldHead(fields.resources.number, bytes.length), bytes]);

/** To write so many pieces costs more than to join them, once for all who get the same. */
const manyItems = 64;
/** What was joined last, by type: a change goes to many peers one after the other. */
const joinedLast = new Map<string, { readonly items: readonly Item[]; readonly bytes: Uint8Array }>();

function joinedOf(typeUrl: string, items: readonly Item[]): Uint8Array {
  const last = joinedLast.get(typeUrl);
  if (last?.items.length === items.length && last.items.every((item, i) => item === items[i])) return last.bytes;
  const bytes = joined(piecesOf(items));
  joinedLast.set(typeUrl, { items, bytes });
  return bytes;
}

const errorsOf = (absent: readonly string[]): Uint8Array =>
  toBinary(
    DeltaDiscoveryResponseSchema,
    create(DeltaDiscoveryResponseSchema, {
      resourceErrors: absent.map((name) => ({ resourceName: { name }, errorDetail: { code: notFound } })),
    }),
  );

// What every response has is written by hand, as that is done for each stream: with the library it took as long as all else.

const fields = DeltaDiscoveryResponseSchema.field;
const identifierField = ControlPlaneSchema.field.identifier.number;
const encoder = new TextEncoder();

function controlPlaneField(identifier: string): Uint8Array {
  const content = identifier === "" ? new Uint8Array() : textField(identifierField, identifier);
  return joined([fieldHead(fields.controlPlane.number, content.length), content]);
}

function textField(field: number, text: string): Uint8Array {
  const content = encoder.encode(text);
  return joined([fieldHead(field, content.length), content]);
}

/** Tag and length. */
function fieldHead(field: number, length: number): Uint8Array {
  const octets = [(field << 3) | WireType.LengthDelimited];
  let rest = length;
  for (; rest > 0x7f; rest >>>= 7) octets.push((rest & 0x7f) | 0x80);
  octets.push(rest);
  return Uint8Array.from(octets);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
