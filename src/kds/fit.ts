// What of a push goes, as no message may be larger than its receiver takes. What proxies say of themselves in their insights goes
// first; what is too large even then is left out, by name.
//
// Kuma takes the first response of a kind as all that there is, and removes the rest: that one must be one message. All else
// goes in parts.

import { resourceIn } from "#discovery/frame.ts";
import type { Item } from "#discovery/item.ts";
import { decodeResource, itemOf } from "#kds/codec.ts";
import type { Kind } from "#resources/kind.ts";

/** Of a Kuma control plane, uncompressed (interop 4.1), and of ours. */
const mostMessageBytes = 10_485_760;
/** For what a message has besides its resources. */
const frameBytes = 1_024;

/** What its resources may have. */
export const mostResourceBytes = mostMessageBytes - frameBytes;

export interface Fitted {
  readonly upsert: readonly Item[];
  /** name → why it is not sent. */
  readonly leftOut: ReadonlyMap<string, string>;
}

export type Way = "in one message" | "in parts";

export function fitted(kind: Kind, upsert: readonly Item[], way: Way, mostBytes = mostMessageBytes): Fitted {
  const items = new Map(upsert.map((item) => [item.name, item]));
  const isOne = way === "in one message";
  let allBytes = upsert.reduce((sum, item) => sum + sizeOf(item), frameBytes);
  const isTooMuch = (item: Item): boolean => (isOne ? allBytes : sizeOf(item) + frameBytes) > mostBytes;
  const largestFirst = (): Item[] => [...items.values()].sort((a, b) => sizeOf(b) - sizeOf(a));

  const leftOut = new Map<string, string>();
  if (!upsert.some(isTooMuch)) return { upsert, leftOut };
  for (const item of kind.name.endsWith("Insight") ? largestFirst() : []) {
    if (!isTooMuch(item)) break;
    const smaller = withoutMetadata(kind, item);
    items.set(item.name, smaller);
    allBytes += sizeOf(smaller) - sizeOf(item);
  }
  for (const item of largestFirst()) {
    if (!isTooMuch(item)) break;
    items.delete(item.name);
    allBytes -= sizeOf(item);
    leftOut.set(item.name, whyLeftOut(kind, item, isOne, mostBytes));
  }
  return { upsert: [...items.values()], leftOut };
}

const sizeOf = ({ bytes }: Item): number => bytes.length;

function withoutMetadata(kind: Kind, item: Item): Item {
  const { resource: insight, issues } = decodeResource(kind, resourceIn(item)?.resource?.value ?? new Uint8Array());
  if (issues.length > 0) return item;
  const { wire: _, ...rest } = insight;
  const { metadata: __, ...spec } = insight.spec;
  return itemOf(kind, { ...rest, spec });
}

function whyLeftOut({ name }: Kind, item: Item, isOne: boolean, mostBytes: number): string {
  const has = `not sent: it has ${counted(item.bytes.length)} bytes, and`;
  if (!isOne) return `${has} a message has at most ${counted(mostBytes)}`;
  return `${has} to a Kuma control plane all of kind ${name} go in one message of at most ${counted(mostBytes)}`;
}

const counted = (bytes: number): string => bytes.toLocaleString("en-US");
