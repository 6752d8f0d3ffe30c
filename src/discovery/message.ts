// What a peer sends, read as the message that it should be.

import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { KodiakError } from "#lib/failure.ts";

/** Throws `invalid`, with nothing of the bytes in it. */
export function messageIn<Schema extends DescMessage>(schema: Schema, bytes: Uint8Array): MessageShape<Schema> {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new KodiakError({ kind: "invalid", what: `not a ${schema.name}`, issues: [{ path: "", message }] });
  }
}
