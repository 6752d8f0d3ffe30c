// The resources of a store in memory, by kind and key: what every store reads from. Sorted lists are made when they are
// asked for and kept until their kind changes, so a list is a snapshot that later commits do not touch.

import { type Key, keyOf, type Resource, type ResourceId } from "#resources/resource.ts";
import type { Change } from "#resources/store.ts";

export interface ResourceIndex {
  get(id: ResourceId): Resource | undefined;
  list(kind: string): readonly Resource[];
  all(): Iterable<Resource>;
  apply(changes: readonly Change[]): void;
}

export function resourceIndex(resources: Iterable<Resource> = []): ResourceIndex {
  const byKind = new Map<string, Map<Key, Resource>>();
  const sorted = new Map<string, readonly Resource[]>();
  for (const resource of resources) ofKind(resource.kind).set(keyOf(resource), resource);

  return { get: (id) => byKind.get(id.kind)?.get(keyOf(id)), list, all, apply };

  function ofKind(kind: string): Map<Key, Resource> {
    const known = byKind.get(kind);
    if (known) return known;
    const members = new Map<Key, Resource>();
    byKind.set(kind, members);
    return members;
  }

  function list(kind: string): readonly Resource[] {
    const known = sorted.get(kind);
    if (known) return known;
    const members = [...(byKind.get(kind)?.values() ?? [])].sort(byMeshAndName);
    sorted.set(kind, members);
    return members;
  }

  function* all(): Iterable<Resource> {
    for (const kind of byKind.keys()) yield* list(kind);
  }

  function apply(changes: readonly Change[]): void {
    for (const { id, after } of changes) {
      if (after) ofKind(id.kind).set(keyOf(id), after);
      else byKind.get(id.kind)?.delete(keyOf(id));
      sorted.delete(id.kind);
    }
  }
}

/** Not by key: `a-b/x` sorts before `a/x` as a text, yet mesh `a` comes first. */
const byMeshAndName = (a: Resource, b: Resource): number => compare(a.mesh, b.mesh) || compare(a.name, b.name);
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
