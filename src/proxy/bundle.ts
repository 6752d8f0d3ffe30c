// A bundle: configuration that is made together and changes together, encoded once. A proxy's configuration is a list of
// references to bundles, so that a change of a bundle changes no proxy's own entry, and its bytes are shared by all.

import { encodeItem } from "#discovery/frame.ts";
import type { Item } from "#discovery/item.ts";
import { type EnvoyType, envoyTypeUrl } from "#discovery/order.ts";
import { encode } from "#envoy/encode.ts";
import type { Collection } from "#incremental/collection.ts";

/** A resource in proto JSON, before it is encoded. */
export interface Draft {
  readonly type: EnvoyType;
  readonly name: string;
  readonly json: object;
  /** Names of the clusters that a listener or route sends to: they must be there first. */
  readonly refers?: readonly string[];
}

export type Bundle = readonly BundledItem[];
export interface BundledItem {
  readonly type: EnvoyType;
  readonly item: Item;
}

export interface BundleRef {
  readonly from: Collection<Bundle>;
  readonly key: string;
}

/** What one proxy should have. */
export interface ProxyConfig {
  readonly own: readonly BundleRef[];
  /** The same list for all proxies that have these. */
  readonly shared: readonly BundleRef[];
}

export const bundlesOf = ({ own, shared }: ProxyConfig): readonly BundleRef[] => [...own, ...shared];

export const bundleOf = (drafts: readonly Draft[]): Bundle =>
  drafts.map(({ type, name, json, refers }) => ({
    type,
    item: { ...encodeItem(name, envoyTypeUrl[type], encode(type, json)), ...(refers && { refers }) },
  }));
