// Which virtual IP address each name of a mesh has (decision 16): computed from mesh and name, the next free one on a collision,
// and kept.

import { sha256Hex } from "#lib/hash.ts";
import { byKey, type Exceptions, type Names, resourceRangeOf, type VipEntry, type VipTable } from "#topology/vips.ts";

/** Nobody else gets a freed address for so long: somebody may still have it from DNS. */
export const quarantineMs = 86_400_000;

/** Without 241, 242 and 243.0.0.0/8, which are those of MeshServices (interop 8.2), and 255.0.0.0/8. */
const firstBytes = [240, 244, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254];
export const rangeSize = firstBytes.length * 2 ** 24;

/** `first`: of the range of a kind; absent: of names by themselves. */
export function addressAt(index: number, first = firstBytes[Math.floor(index / 2 ** 24)] ?? 240): string {
  return [first, (index >>> 16) & 255, (index >>> 8) & 255, index & 255].join(".");
}

/** Where a name is unless somebody else is there: its place in the range. */
export const homeOf = (mesh: string, name: string, size = rangeSize): number =>
  Number.parseInt(sha256Hex(`${mesh}/${name}`).slice(0, 8), 16) % sizeFor(name, size);
const sizeFor = (name: string, size: number): number =>
  resourceRangeOf(name) === undefined ? size : Math.min(size, 2 ** 24);

/** The address `step` behind a name's home. */
const addressFor = (mesh: string, name: string, size: number, step = 0): string =>
  addressAt((homeOf(mesh, name, size) + step) % sizeFor(name, size), resourceRangeOf(name));

export interface VipsInput {
  readonly mesh: string;
  readonly names: Names;
  readonly before: VipTable;
  /** Global's, which says where every name is; absent: there is no such global. */
  readonly exceptions: Exceptions | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Of the range; less in tests, for collisions. */
  readonly size?: number;
}

/** The table, by name. Two names never have one address. */
export function vipsOf({ mesh, names, before, exceptions, now, size = rangeSize }: VipsInput): VipTable {
  const home = (name: string): string => addressFor(mesh, name, size);
  const kept = (name: string): string | undefined => before.get(name)?.address;
  const sorted = [...names.keys()].sort();
  const given = new Map<string, string>();
  const taken = new Set<string>();
  const give = (name: string, address: string | undefined): boolean => {
    if (address === undefined || taken.has(address)) return false;
    given.set(name, address);
    taken.add(address);
    return true;
  };
  /** Where a name should be, best first. What global does not except is at home. */
  const wanted = (name: string): readonly (string | undefined)[] =>
    exceptions ? [exceptions.get(name), home(name), kept(name)] : [kept(name), home(name)];

  for (const [name, address] of exceptions ?? []) if (names.has(name)) give(name, address);
  // Who is where it should be stays, before anyone who comes.
  for (const name of sorted)
    if (!given.has(name) && kept(name) !== undefined && wanted(name).find(isSaid) === kept(name))
      give(name, kept(name));
  const freed = [...before].flatMap(([name, entry]) => (names.has(name) ? [] : freedEntry(name, entry, now)));
  const inQuarantine = freed.filter(([, { address }]) => !taken.has(address));
  for (const [, { address }] of inQuarantine) taken.add(address);
  for (const name of sorted) {
    if (given.has(name) || wanted(name).some((address) => give(name, address))) continue;
    for (let step = 1; step < sizeFor(name, size); step++) if (give(name, addressFor(mesh, name, size, step))) break;
  }
  const entries = [...given].map(([name, address]) => [name, { address, outbounds: names.get(name) ?? [] }] as const);
  return new Map([...entries, ...inQuarantine].sort(byKey));
}

const isSaid = (address: string | undefined): boolean => address !== undefined;

function freedEntry(name: string, entry: VipEntry, now: number): readonly (readonly [string, VipEntry])[] {
  const { freedAt = new Date(now).toISOString() } = entry;
  return now - Date.parse(freedAt) >= quarantineMs ? [] : [[name, { ...entry, freedAt }]];
}

/** What others must be told of a table: the names that are not at home. */
export const exceptionsOf = (mesh: string, table: VipTable, size = rangeSize): Exceptions =>
  new Map(
    [...table].flatMap(([name, { address, freedAt }]) =>
      freedAt === undefined && address !== addressFor(mesh, name, size) ? [[name, address]] : [],
    ),
  );
