// Whether the token that a proxy shows lets it be what it says it is.

import type { Clock } from "#host/world.ts";
import type { Credentials } from "#identity/credentials.ts";
import type { Refused } from "#identity/jwt.ts";
import { dataplaneTokenKeys, keysInSecrets, zoneTokenKeys, zoneTokenPublicKeys } from "#identity/signing-key.ts";
import type { ZoneScope } from "#identity/tokens.ts";
import { isEqual } from "#lib/json.ts";
import type { Place } from "#resources/labels.ts";
import type { Resource, ResourceId } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";
import { bearerOf, refused, tokenAdvice } from "#zone/claims.ts";

export interface TokenCheckOptions {
  readonly place: Extract<Place, { kind: "zone" }>;
  readonly store: Pick<Store, "get">;
  readonly clock: Pick<Clock, "now">;
  readonly credentials: Pick<Credentials, "verifyDataplaneToken" | "verifyZoneToken">;
}

export interface TokenCheck {
  /** Rejects with `forbidden` and the reason. `asOf`: absent now; a token that expires later than that is good. */
  check(resource: Resource, token: string, asOf?: number): Promise<void>;
  /** The same, of what a proxy brings, and of what is known under its name: who may be the one may still not be the other. */
  checkBrought(brought: Resource, token: string): Promise<void>;
  /** Whether a change of this could change what is said of that proxy's token. */
  concerns(changed: ResourceId, proxy: ResourceId): boolean;
}

export function tokenCheck({ place, store, clock, credentials }: TokenCheckOptions): TokenCheck {
  const zoneKeys = place.isFederated ? zoneTokenPublicKeys : zoneTokenKeys;
  const keyPlaceOf = ({ kind, mesh }: ResourceId) => (kind === "Dataplane" ? dataplaneTokenKeys(mesh) : zoneKeys);

  async function verified(resource: Resource, token: string, now: number): Promise<Refused | undefined> {
    const keys = keysInSecrets(keyPlaceOf(resource), (id) => store.get(id));
    const scope: ZoneScope = resource.kind === "ZoneEgress" ? "egress" : "ingress";
    const result =
      resource.kind === "Dataplane"
        ? await credentials.verifyDataplaneToken(token, keys, bearerOf(resource), now)
        : await credentials.verifyZoneToken(token, keys, { zone: place.zone, scope }, now);
    return result.ok ? undefined : result;
  }

  async function check(resource: Resource, token: string, asOf = clock.now()): Promise<void> {
    const refusal = await verified(resource, token, asOf);
    if (refusal)
      throw refused(`authentication failed: ${refusal.reason}; ${tokenAdvice(resource, place)}`, refusal.fault);
  }

  return {
    check,
    async checkBrought(brought, token) {
      await check(brought, token);
      const existing = store.get(brought);
      if (existing && !isEqual(bearerOf(existing), bearerOf(brought))) await check(existing, token);
    },
    concerns(changed, proxy) {
      const { kind, mesh, prefix, revocations } = keyPlaceOf(proxy);
      if (changed.kind === revocations.kind && changed.name === revocations.name) return true;
      return changed.kind === kind && changed.mesh === mesh && changed.name.startsWith(prefix);
    },
  };
}
