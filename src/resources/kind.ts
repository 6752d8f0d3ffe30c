// What a kind is: its names, where it may be written, which way it travels, how it is checked. One list of all kinds
// (`kinds.ts` here for what each is, `policies/kinds.ts` with what acts on it) serves store, KDS, API and CLI.

import type { DescMessage } from "@bufbuild/protobuf";
import type { Issue } from "#lib/issue.ts";
import type { Resource } from "#resources/resource.ts";

export interface Kind {
  readonly name: string;
  /** Path segment of the HTTP API, plural; `undefined`: not in the API (Config). */
  readonly plural: string | undefined;
  /** A second accepted path segment. */
  readonly alias?: string;
  readonly scope: "Mesh" | "Global";
  /** `legacy`: a protobuf message, flattened beside the meta fields in JSON; `spec`: JSON under `spec`. */
  readonly style: "legacy" | "spec";
  /** The message of a legacy kind. */
  readonly message?: DescMessage;
  /** As in a KRI; empty where the kind has none. */
  readonly short: string;
  readonly sync: Sync;
  /** Written by control planes only. */
  readonly readOnly: boolean;
  readonly adminOnly: boolean;
  /** KDS sends its name without a hash suffix (interop 4.7). */
  readonly plainName: boolean;
  readonly hasStatus: boolean;
  readonly isPolicy: boolean;
}

/** Which way a kind travels over KDS and who may write it (interop 1.7). */
export interface Sync {
  readonly globalToZone: boolean;
  readonly zoneToGlobal: boolean;
  readonly acrossZones: boolean;
  readonly writtenOnGlobal: boolean;
  readonly writtenOnZone: boolean;
}

/** Checks of meaning, after the shape is known to be right. */
export type Validate = (resource: Resource) => readonly Issue[];
