// Names as they travel between zone and global: with a hash of where the resource was made, so that equal names of several
// zones do not meet (interop 4.7). The same inputs give the same name at every hop.

import { fnv1a64Hex } from "#lib/hash.ts";
import type { Kind } from "#resources/kind.ts";
import { displayNameOf, label, type Resource } from "#resources/resource.ts";

/** One letter for each hex digit; 0 and f share one, as in Kuma. */
const letters = "456789bcdfvwxz24";
const longestStem = 236;

export function hashedName(mesh: string, name: string, extra: readonly string[]): string {
  const hash = fnv1a64Hex([mesh, name, ...extra].join(""));
  const suffix = [...hash].map((digit) => letters[Number.parseInt(digit, 16)]).join("");
  return `${name.slice(0, longestStem)}-${suffix}`;
}

/** The resource under its hashed name; what it was called stays in the label `kuma.io/display-name`. */
export function withHashedName<R extends Pick<Resource, "name" | "mesh" | "labels">>(resource: R): R {
  const { mesh, labels } = resource;
  const displayName = displayNameOf(resource);
  const extra = [labels[label.zone], labels[label.namespace]].filter((value) => value !== undefined);
  return {
    ...resource,
    name: hashedName(mesh, displayName, extra),
    labels: { ...labels, [label.displayName]: displayName },
  };
}

/** `<name>.<mesh>`, and `<name>.` for kinds of global scope. */
export const wireNameOf = ({ name, mesh }: Pick<Resource, "name" | "mesh">): string => `${name}.${mesh}`;

/** Names may have dots, meshes not: the last one separates. */
export function idOfWireName(kind: Kind, wireName: string): { kind: string; mesh: string; name: string } {
  const dot = wireName.lastIndexOf(".");
  if (dot < 0) return { kind: kind.name, mesh: "", name: wireName };
  return { kind: kind.name, mesh: wireName.slice(dot + 1), name: wireName.slice(0, dot) };
}
