// What fake Envoys say and hear, as bytes. They share a machine with what is measured, and what they hear they share: most of it
// is what others heard before.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type EnvoyType, envoyTypeOf, envoyTypes, envoyTypeUrl } from "#discovery/order.ts";
import { decode } from "#envoy/encode.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  ResourceSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";

type RequestInit = MessageInitShape<typeof DeltaDiscoveryRequestSchema>;
export type Request = Omit<RequestInit, "typeUrl">;

export interface Response {
  readonly type: EnvoyType;
  readonly nonce: string;
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
}

export interface Resource {
  readonly name: string;
  readonly version: string;
  readonly value: Uint8Array;
  readonly refers: References;
}

/** Equal ones are one object. */
export interface References {
  /** Of a cluster: by EDS. */
  readonly isDiscovered: boolean;
  readonly secret: readonly string[];
  readonly route: readonly string[];
}

/** An acknowledgement, which is most of what is said, by hand. */
export function requestBytes(type: EnvoyType, request: Request): Uint8Array {
  const { responseNonce: nonce = "", ...rest } = request;
  if (nonce !== "" && Object.keys(rest).length === 0)
    return Buffer.from(`${typeField[type]}${nonceTag}${String.fromCharCode(nonce.length)}${nonce}`, "latin1");
  return toBinary(
    DeltaDiscoveryRequestSchema,
    create(DeltaDiscoveryRequestSchema, { ...request, typeUrl: envoyTypeUrl[type] } as RequestInit),
  );
}

const typeField = Object.fromEntries(
  envoyTypes.map((type) => {
    const bytes = toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, { typeUrl: envoyTypeUrl[type] }),
    );
    return [type, Buffer.from(bytes).toString("latin1")];
  }),
) as Record<EnvoyType, string>;
const nonceTag = String.fromCharCode(
  (DeltaDiscoveryRequestSchema.field.responseNonce.number << 3) | WireType.LengthDelimited,
);

const responseField = DeltaDiscoveryResponseSchema.field;

/** Read by hand: its resources are looked at as bytes, as most have been seen before. */
export function responseOf(bytes: Uint8Array): Response {
  const reader = new BinaryReader(bytes);
  const resources: Resource[] = [];
  const removed: string[] = [];
  let type: EnvoyType | undefined;
  let nonce = "";
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    switch (field) {
      case responseField.resources.number:
        resources.push(resourceOf(reader.bytes()));
        break;
      case responseField.typeUrl.number:
        type = envoyTypeOf(reader.string());
        break;
      case responseField.nonce.number:
        nonce = reader.string();
        break;
      case responseField.removedResources.number:
        removed.push(reader.string());
        break;
      default:
        reader.skip(wireType, field);
    }
  }
  if (!type) throw new Error("a response of a type for which nobody asked");
  return { type, nonce, resources, removed };
}

/** By their beginning, which holds the version; of those with one beginning the last. */
const known = new Map<string, { readonly bytes: Buffer; readonly resource: Resource }>();
const beginningBytes = 2 + 64;
/** Some thousands are in use at a time. */
const mostKnown = 20_000;

function resourceOf(bytes: Uint8Array): Resource {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const beginning = view.toString("latin1", 0, beginningBytes);
  const seen = known.get(beginning);
  if (seen?.bytes.equals(view)) return seen.resource;
  // Of its own, or it would keep all of the message that it came in.
  const own = Buffer.from(view);
  const { name, version, resource: any } = fromBinary(ResourceSchema, own);
  const value = any?.value ?? new Uint8Array();
  const type = any && envoyTypeOf(any.typeUrl);
  const refers = type === "cluster" || type === "listener" ? referencesOf(type, value) : noReferences;
  const resource = { name, version, value, refers };
  if (known.size >= mostKnown) known.clear();
  known.set(beginning, { bytes: own, resource });
  return resource;
}

export const noReferences: References = { isDiscovered: false, secret: [], route: [] };
const references = new Map<string, References>();

function referencesOf(type: EnvoyType, value: Uint8Array): References {
  const text = JSON.stringify(decode(type, value));
  const found = (pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map((match) => match[1] ?? ""))];
  const made: References = {
    isDiscovered: text.includes('"type":"EDS"'),
    secret: found(/SdsSecretConfigs?":\[?\{"name":"([^"]+)"/g).sort(),
    route: found(/"routeConfigName":"([^"]+)"/g),
  };
  const key = JSON.stringify(made);
  const equal = references.get(key) ?? made;
  references.set(key, equal);
  return equal;
}
