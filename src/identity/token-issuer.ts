// Issues and checks tokens with the keys that lie in a store: what the HTTP API offers and asks (interop 5.3, 5.4).

import type { Clock, Random } from "#host/world.ts";
import { unverifiedClaims } from "#identity/jwt.ts";
import {
  dataplaneTokenKeys,
  joinTokenKeys,
  type KeyPlace,
  keysInSecrets,
  latestSigningKey,
  type SigningKey,
  signingKeyId,
  userTokenKeys,
  zoneTokenKeys,
} from "#identity/signing-key.ts";
import {
  checkDataplaneClaims,
  type DataplaneClaims,
  issueDataplaneToken,
  issueJoinToken,
  issueUserToken,
  issueZoneToken,
  type JoinClaims,
  type UserClaims,
  verifyUserToken,
  type ZoneClaims,
} from "#identity/tokens.ts";
import { KodiakError } from "#lib/failure.ts";
import { describeId } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";

type For<Claims> = Claims & { readonly validForMs: number };

export function tokenIssuer(store: Store, clock: Clock, random: Random) {
  const issuance = (validForMs: number) => ({ now: clock.now(), validForMs, tokenId: random.uuid() });
  const keyAt = (place: KeyPlace, hint: string): SigningKey => {
    const key = latestSigningKey(place, store.list(place.kind));
    if (!key)
      throw new KodiakError({
        kind: "not-found",
        what: `the key to sign it with, ${describeId(signingKeyId(place, "1"))},`,
        hint,
      });
    return key;
  };
  return {
    issue: {
      dataplane: async ({ validForMs, ...claims }: For<DataplaneClaims>) => {
        // Without a mesh there is no key to look for.
        checkDataplaneClaims(claims, { validForMs });
        const key = keyAt(dataplaneTokenKeys(claims.mesh), "it comes with its mesh: apply that first");
        return issueDataplaneToken(claims, key, issuance(validForMs));
      },
      zone: async ({ validForMs, ...claims }: For<ZoneClaims>) => {
        const key = keyAt(zoneTokenKeys, "ask the global control plane, which issues tokens of zones");
        return issueZoneToken(claims, key, issuance(validForMs));
      },
      join: async ({ validForMs, ...claims }: For<JoinClaims>) => {
        const key = keyAt(joinTokenKeys, "ask the global control plane, which lets zones join");
        return issueJoinToken(claims, key, issuance(validForMs));
      },
      user: async ({ validForMs, ...claims }: For<UserClaims>) =>
        issueUserToken(
          claims,
          keyAt(userTokenKeys, "start the control plane anew, it makes one"),
          issuance(validForMs),
        ),
      stated: (token: string) => {
        const { jti, exp } = unverifiedClaims(token);
        return { id: String(jti), expires: new Date(Number(exp) * 1000).toISOString() };
      },
    },
    authenticate: (token: string) =>
      verifyUserToken(
        token,
        keysInSecrets(userTokenKeys, (id) => store.get(id)),
        clock.now(),
      ),
  };
}
