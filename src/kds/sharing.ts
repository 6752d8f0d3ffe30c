// What both directions have in common (interop 4.4, 4.5).

import type { JsonObject } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import { label, type Resource } from "#resources/resource.ts";

/** Users hold a resource back with a label. No kind is held back without one. */
export const isHeldBack = ({ labels }: Resource): boolean => labels[label.kdsSync] === "disabled";

/** A status that says nothing, as Kuma writes it. */
export const emptyStatusOf = (kind: Kind): JsonObject =>
  kind.name === "MeshService" ? { tls: {}, dataplaneProxies: {} } : {};
