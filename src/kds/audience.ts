// Whom a resource is for, once it is encoded.

import type { Item } from "#discovery/item.ts";
import type { Feature } from "#kds/wire.ts";

export interface Outgoing {
  readonly item: Item;
  /** Of what a zone made: that zone, which has it already, and those that are disabled. */
  readonly notTo?: readonly string[];
  readonly onlyTo?: string;
  /** What a zone must understand to get it. */
  readonly needs: readonly Feature[];
  /** It holds a private key. Who is not given such gets this instead, or nothing. */
  readonly keyless?: Item | "nothing";
}

/** A zone as far as it matters for what it gets. */
export interface Audience {
  readonly zone: string;
  readonly features: ReadonlySet<string>;
  /** It is given private keys of authorities and of tokens, as every zone of a Kuma is. */
  readonly getsKeys: boolean;
}

const passes = ({ notTo, onlyTo, needs }: Outgoing, { zone, features }: Audience): boolean =>
  !notTo?.includes(zone) &&
  (onlyTo === undefined || onlyTo === zone) &&
  needs.every((feature) => features.has(feature));

/** What the audience gets of it. */
export function itemFor(outgoing: Outgoing, audience: Audience): Item | undefined {
  if (!passes(outgoing, audience)) return undefined;
  const { item, keyless = item } = outgoing;
  if (audience.getsKeys) return item;
  return keyless === "nothing" ? undefined : keyless;
}
