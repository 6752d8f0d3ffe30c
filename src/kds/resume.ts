// What two Kodiaks say beyond Kuma's protocol (decision 6), as it travels. With a subscription, in the node's metadata: where
// the subscriber stands, and what it has. With a response, in `system_version_info`: which moment of the sender's store it is.

import type { JsonObject as Struct } from "@bufbuild/protobuf";
import type { Position } from "#discovery/link.ts";
import type { DeltaDiscoveryRequest } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { resumeKey } from "#kds/wire.ts";
import { isObject, type JsonValue } from "#lib/json.ts";

/** With the subscription of one kind. */
export interface Resume {
  readonly cursor: Position | undefined;
  /** name → version, as the sender called it. */
  readonly has: ReadonlyMap<string, string>;
}

/** For what the subscriber has in an unknown version: no sender calls one so. */
export const unknownVersion = "?";

export const resumeMetadata = ({ cursor, has }: Resume): Struct => ({
  ...(cursor && { cursor: positionText(cursor) }),
  has: Object.fromEntries(has),
});

/** `undefined` from a peer that does not resume. */
export function resumeIn({ node }: Pick<DeltaDiscoveryRequest, "node">): Resume | undefined {
  const said = node?.metadata?.[resumeKey] as JsonValue | undefined;
  if (!isObject(said)) return undefined;
  const has = isObject(said.has) ? Object.entries(said.has) : [];
  return {
    cursor: typeof said.cursor === "string" ? positionIn(said.cursor)?.position : undefined,
    has: new Map(has.map(([name, version]) => [name, String(version)])),
  };
}

/** Of a response. */
export interface Said {
  readonly position: Position;
  /** The subscriber's cursor is in the sender's past. */
  readonly resumed: boolean;
  /** More of the same revision follows: all of it is applied in one transaction. */
  readonly more: boolean;
}

export const saidText = ({ position, resumed, more }: Said): string =>
  `${positionText(position)}${resumed ? " resumed" : ""}${more ? " more" : ""}`;

/** `undefined` from a peer that says nothing of its store. */
export const saidIn = positionIn;

const positionText = ({ store, opening, revision }: Position): string => `${store} ${opening} ${revision}`;

function positionIn(text: string): Said | undefined {
  const [, store, opening, revision, resumed, more] = /^(\S+) (\S+) (\d+)( resumed)?( more)?$/.exec(text) ?? [];
  if (store === undefined || opening === undefined) return undefined;
  return {
    position: { store, opening, revision: Number(revision) },
    resumed: resumed !== undefined,
    more: more !== undefined,
  };
}
