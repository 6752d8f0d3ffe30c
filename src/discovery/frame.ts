// Discovery responses as bytes. An item is encoded once; a response is pieces, its items' own bytes among them, shared by
// all streams. Joined, the pieces are byte for byte what protobuf-es makes of the same message: a message's fields may be
// encoded apart and joined, and fields 1 and 4 to 7 lie around the resources, which are field 2.

import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Item } from "#discovery/item.ts";
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
  const { typeUrl, nonce, upsert, remove, absent = [], revision, controlPlane } = response;
  const resourcesField = DeltaDiscoveryResponseSchema.field.resources.number;
  const before = create(DeltaDiscoveryResponseSchema, { systemVersionInfo: revision ?? "" });
  const after = create(DeltaDiscoveryResponseSchema, {
    typeUrl,
    nonce,
    removedResources: [...remove],
    resourceErrors: absent.map((name) => ({ resourceName: { name }, errorDetail: { code: notFound } })),
    ...(controlPlane === undefined ? {} : { controlPlane: { identifier: controlPlane } }),
  });
  return [
    toBinary(DeltaDiscoveryResponseSchema, before),
    ...upsert.flatMap(({ bytes }) => [
      new BinaryWriter().tag(resourcesField, WireType.LengthDelimited).uint32(bytes.length).finish(),
      bytes,
    ]),
    toBinary(DeltaDiscoveryResponseSchema, after),
  ].filter((piece) => piece.length > 0);
}
