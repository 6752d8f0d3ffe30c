// What somebody may do: all, as an administrator, or what the Roles that name them allow. Rules only add; what none allows is
// refused, in words that say which right would do (decision 13).

import { Problem } from "#api/problem.ts";
import { adminGroup, anonymous, type User } from "#api/user.ts";
import { type Right, type Role, roleIn } from "#policies/role.ts";
import type { Kind } from "#resources/kind.ts";
import type { Resource, ResourceId } from "#resources/resource.ts";

/** `undefined`: any mesh will do. Empty: in no mesh. */
type Mesh = string | undefined;

export interface Rights {
  readonly isAdmin: boolean;
  has(right: Right, mesh: Mesh, kind?: string): boolean;
  mayRead(kind: Kind, mesh: Mesh): boolean;
  /** The following throw a 403. */
  requireRead(kind: Kind, mesh: Mesh): void;
  requireWrite(kind: Kind, mesh: Mesh): void;
  /** `what`: as a refusal calls it. */
  require(right: Right, mesh: Mesh, what: string): void;
  requireAdmin(what: string): void;
  /** A token for somebody: no rights that the user has not, and no longer. */
  requireGrant(to: { readonly name: string; readonly groups: readonly string[]; readonly expiresMs: number }): void;
}

/** Mesh and its insight are of global scope, and in the mesh that they are about. */
const isAboutMesh = ({ name }: Pick<Kind, "name">): boolean => name === "Mesh" || name === "MeshInsight";

export const meshOf = (kind: Kind, { mesh, name }: Pick<ResourceId, "mesh" | "name">): string =>
  isAboutMesh(kind) ? name : mesh;

/** Of a path's parameters. */
export function meshIn(kind: Kind, { mesh, name }: Readonly<Record<string, string>>): Mesh {
  if (isAboutMesh(kind)) return name;
  return kind.scope === "Mesh" ? mesh : "";
}

export function rightsOf(user: User, roles: readonly Resource[]): Rights {
  const isAdmin = user.groups.includes(adminGroup);
  const rules = isAdmin ? [] : roles.flatMap((resource) => rulesFor(user, roleIn(resource)));
  const has: Rights["has"] = (right, mesh, kind) =>
    isAdmin ||
    rules.some(
      ({ rights, kinds, meshes }) =>
        rights.includes(right) &&
        (kind === undefined || kinds === undefined || kinds.includes(kind)) &&
        (mesh === undefined || meshes === undefined || meshes.includes(mesh)),
    );
  const hasAll = (rights: readonly Right[] | undefined, kind: Kind, mesh: Mesh): boolean =>
    isAdmin || rights?.every((right) => has(right, mesh, kind.name)) === true;
  const demand = (kind: Kind, mesh: Mesh, rights: readonly Right[] | undefined): void => {
    if (hasAll(rights, kind, mesh)) return;
    const what = `the resource of type "${kind.name}"${inMesh(mesh)}`;
    throw refusal(user, what, rights && `${quoted(rights)} for kind ${kind.name}${inMesh(mesh)}`);
  };
  const requireAdmin = (what: string): void => {
    if (!isAdmin) throw refusal(user, what, undefined);
  };
  return {
    isAdmin,
    has,
    mayRead: (kind, mesh) => hasAll(readingTakes(kind), kind, mesh),
    requireRead: (kind, mesh) => demand(kind, mesh, readingTakes(kind)),
    requireWrite: (kind, mesh) => demand(kind, mesh, writingTakes(kind)),
    require(right, mesh, what) {
      if (!has(right, mesh)) throw refusal(user, what, `${quoted([right])}${inMesh(mesh)}`);
    },
    requireAdmin,
    requireGrant({ name, groups, expiresMs }) {
      if (isAdmin) return;
      const foreign = groups.find((group) => isReserved(group) || !user.groups.includes(group));
      if (foreign !== undefined)
        return requireAdmin(`a token for the group ${JSON.stringify(foreign)}, in which it is not`);
      const isNamed = roles.some((resource) => roleIn(resource)?.users?.includes(name));
      if (name !== user.name && (isReserved(name) || isNamed))
        return requireAdmin(`a token for the user ${JSON.stringify(name)}, who has rights by that name`);
      if (user.expiresMs !== undefined && expiresMs > user.expiresMs)
        return requireAdmin(`a token that outlives its own, which ends at ${new Date(user.expiresMs).toISOString()}`);
    },
  };
}

const isReserved = (name: string): boolean => name.startsWith("mesh-system:");

function rulesFor({ name, groups }: User, role: Role | undefined): Role["rules"] {
  if (!role) return [];
  // Nobody has said who an anonymous user is.
  const isFor = role.users?.includes(name) || role.groups?.some((group) => groups.includes(group));
  return isFor ? role.rules : [];
}

/** `undefined`: no right does. */
function readingTakes(kind: Kind): readonly Right[] | undefined {
  if (kind.name === "Secret") return ["secrets"];
  return kind.adminOnly ? undefined : ["read"];
}
function writingTakes(kind: Kind): readonly Right[] | undefined {
  if (kind.name === "Secret") return ["secrets", "write"];
  return kind.adminOnly ? undefined : ["write"];
}

const inMesh = (mesh: Mesh): string => (mesh === "" ? "" : mesh === undefined ? " in any mesh" : ` in mesh "${mesh}"`);
const quoted = (rights: readonly Right[]): string =>
  `the right${rights.length > 1 ? "s" : ""} ${rights.map((right) => `"${right}"`).join(" and ")}`;

/** Begins like Kuma's. `right`: what would do, besides being an administrator. */
function refusal(user: User, what: string, right: string | undefined): Problem {
  const who = `user "${user.name}/${user.groups.join(",")}"`;
  const needed = `${right === undefined ? "" : `${right} (a Role gives it) or `}the group ${adminGroup}`;
  const how = user === anonymous ? `send a user token with ${needed}` : `it lacks ${needed}`;
  return new Problem(403, "Access Denied", `${who} cannot access ${what}; ${how}`);
}
