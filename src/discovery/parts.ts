// A large push in parts, so that no message is larger than its receiver takes.

import type { Item } from "#discovery/item.ts";

export interface Part {
  readonly upsert: readonly Item[];
  readonly remove: readonly string[];
  readonly absent: readonly string[];
}

/** At least one part. None has more bytes, but for one item that is larger: it has a part for itself. */
export function partsOf({ upsert, remove, absent }: Part, mostBytes: number): readonly Part[] {
  const parts: { upsert: Item[]; remove: string[]; absent: string[] }[] = [];
  let left = 0;
  function partFor(sizeBytes: number): { upsert: Item[]; remove: string[]; absent: string[] } {
    if (parts.length === 0 || sizeBytes > left) {
      parts.push({ upsert: [], remove: [], absent: [] });
      left = mostBytes;
    }
    left -= sizeBytes;
    return parts.at(-1)!;
  }
  partFor(0);
  for (const name of remove) partFor(name.length + perEntryBytes).remove.push(name);
  for (const name of absent) partFor(name.length + perEntryBytes).absent.push(name);
  for (const item of upsert) partFor(item.bytes.length + perEntryBytes).upsert.push(item);
  return parts;
}

/** Tags and lengths around an entry, at most. */
const perEntryBytes = 16;
