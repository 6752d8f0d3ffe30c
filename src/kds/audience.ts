// Whom a resource is for, once it is encoded.

import type { Item } from "#discovery/item.ts";
import type { Feature } from "#kds/wire.ts";

export interface Outgoing {
  readonly item: Item;
  /** The zone that it comes from, which has it already. */
  readonly notTo?: string;
  readonly onlyTo?: string;
  /** What a zone must understand to get it. */
  readonly needs: readonly Feature[];
}

/** A zone as far as it matters for what it gets. */
export interface Audience {
  readonly zone: string;
  readonly features: ReadonlySet<string>;
}

export const passes = ({ notTo, onlyTo, needs }: Outgoing, { zone, features }: Audience): boolean =>
  notTo !== zone && (onlyTo === undefined || onlyTo === zone) && needs.every((feature) => features.has(feature));
