// What a proxy says of itself with the first request of its stream, read: who it is, its token, and what it brings. What cannot be
// read is refused with a sentence for whoever runs the proxy.

import type { Struct } from "@bufbuild/protobuf/wkt";
import type { ServerStream } from "#host/world.ts";
import type { TokenFault } from "#identity/jwt.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Issue } from "#lib/issue.ts";
import { isObject, type JsonObject, parseJson } from "#lib/json.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { kindNamed } from "#resources/kinds.ts";
import { describeId, keyOf, label, type Resource, type ResourceId } from "#resources/resource.ts";
import { fromRest } from "#resources/rest.ts";
import { foreignZone } from "#xds/bootstrap-refusal.ts";

/** `cause`: a word for counts. */
export const refused = (why: string, cause: TokenFault | "definition" = "definition"): KodiakError =>
  new KodiakError({ kind: "forbidden", why, cause });

export function tokenAdvice(resource: Resource, { isFederated }: { readonly isFederated: boolean }): string {
  const scope = resource.kind === "ZoneEgress" ? "egress" : "ingress";
  const command = resource.kind === "Dataplane" ? "dataplane" : `zone --scope ${scope}`;
  const where = isFederated ? ", on the global control plane" : "";
  return `give ${describeId(resource)} a token that \`kodiak token ${command}\` makes for it${where}`;
}

export function tokenOf({ headers }: ServerStream): string {
  const tokens = headers.authorization ?? [];
  if (tokens.length > 1) throw refused("authentication failed: more than one authorization header", "malformed");
  return tokens[0] ?? "";
}

/** `<mesh>.<name>`, split at the first dot; zone proxies have no mesh (interop 6.3). */
export function identityOf(nodeId: string): { readonly mesh: string; readonly name: string } {
  const dot = nodeId.indexOf(".");
  if (dot < 0) throw refused(`the node's id must be <mesh>.<name>, not ${JSON.stringify(nodeId)}`);
  return { mesh: nodeId.slice(0, dot), name: nodeId.slice(dot + 1) };
}

export const jsonOf = (struct: Struct | JsonObject | undefined): JsonObject => (struct ?? {}) as JsonObject;

function parsed(text: string): JsonObject {
  try {
    const value: unknown = parseJson(text);
    if (isObject(value)) return value;
  } catch {
    // Said below.
  }
  throw refused("the definition that the proxy brings must be a JSON object");
}

/** `undefined`: it brings nothing. `zone`: this one; `validate`: what is wrong with a resource whose form is right. */
export function broughtBy(
  metadata: JsonObject,
  id: ResourceId,
  zone: string,
  validate: (resource: Resource) => readonly Issue[],
): Resource | undefined {
  const text = metadata["dataplane.resource"];
  if (typeof text !== "string" || text === "") return undefined;
  const { resource, issues } = fromRest(kindNamed(id.kind), parsed(text));
  if (keyOf(resource) !== keyOf(id))
    throw refused(`the node is ${keyOf(id)}, but the definition it brings is ${keyOf(resource)}`);
  const all = [...issues, ...validate(resource), ...foreignZone(resource, zone)];
  if (all.length > 0) throw new KodiakError({ kind: "invalid", what: `${id.kind} "${id.name}"`, issues: all });
  return resource;
}

export function bearerOf(resource: Resource) {
  const { inbound = [], gateway } = asDataplane(resource).spec.networking ?? {};
  const tags = new Map<string, string[]>();
  for (const set of [...inbound.map((one) => one.tags ?? {}), gateway?.tags ?? {}]) {
    for (const [name, value] of Object.entries(set)) tags.set(name, [...(tags.get(name) ?? []), value]);
  }
  const { mesh, name, labels } = resource;
  return { mesh, name, tags: Object.fromEntries(tags), workload: labels[label.workload] };
}
