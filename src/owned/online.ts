// Online or offline since when: from the subscriptions that an insight records (interop 9.6). The last one counts.

import { isObject, type JsonObject } from "#lib/json.ts";
import type { Resource } from "#resources/resource.ts";

export interface Presence {
  readonly isOnline: boolean;
  /** RFC 3339; `undefined` for a proxy or zone that never connected. */
  readonly since: string | undefined;
}

/** From the spec of a DataplaneInsight, ZoneIngressInsight or ZoneInsight. */
export function presenceIn(insight: JsonObject | undefined): Presence {
  const subscriptions = Array.isArray(insight?.subscriptions) ? insight.subscriptions : [];
  const last: unknown = subscriptions.at(-1);
  if (!isObject(last)) return { isOnline: false, since: undefined };
  const { connectTime, disconnectTime } = last;
  if (typeof disconnectTime === "string") return { isOnline: false, since: disconnectTime };
  return { isOnline: connectTime !== undefined, since: typeof connectTime === "string" ? connectTime : undefined };
}

export const isOnline = (insight: { readonly spec: JsonObject } | undefined): boolean =>
  presenceIn(insight?.spec).isOnline;

/** The same with its last subscription ended. */
export function closedInsight(insight: Resource, now: number): Resource {
  const subscriptions = Array.isArray(insight.spec.subscriptions) ? insight.spec.subscriptions : [];
  const last: unknown = subscriptions.at(-1);
  if (!isObject(last)) return insight;
  const ended = { ...last, disconnectTime: new Date(now).toISOString() };
  return { ...insight, spec: { ...insight.spec, subscriptions: [...subscriptions.slice(0, -1), ended] } };
}
