// What a proxy says of its versions (interop 6.4), before anything is made of it: it came over the wire, and may be any JSON.

import { fromJson } from "@bufbuild/protobuf";
import { VersionSchema } from "#gen/kuma/mesh/v1alpha1/dataplane_insight_pb.ts";
import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";

/** `undefined`: none, or none that an insight could carry. */
export function versionIn(value: JsonValue | undefined): JsonObject | undefined {
  if (!isObject(value)) return undefined;
  try {
    fromJson(VersionSchema, value as Parameters<typeof fromJson>[1], { ignoreUnknownFields: true });
    return value;
  } catch {
    return undefined;
  }
}
