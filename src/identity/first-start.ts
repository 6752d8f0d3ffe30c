// What a control plane makes at its very first start: its own keys, the administrator's token, and, unless it belongs to a
// global control plane, the mesh `default` and the identity of the whole (interop 5.4, 11.4).

import type { Clock, Random } from "#host/world.ts";
import { writeNew } from "#identity/key-maker.ts";
import { adminUserTokenId, secretResource } from "#identity/secret.ts";
import {
  createSigningKey,
  joinTokenKeys,
  type KeyPlace,
  latestSigningKey,
  signingKeyId,
  userTokenKeys,
  zoneTokenKeys,
} from "#identity/signing-key.ts";
import { issueUserToken } from "#identity/tokens.ts";
import { createZoneAuthority, zoneAuthorityId } from "#identity/zone-certificate.ts";
import { defaultGenerators } from "#owned/default-generators.ts";
import type { Place } from "#resources/labels.ts";
import type { Resource, ResourceId } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import type { Store } from "#resources/store.ts";

const clusterId: ResourceId = { kind: "Config", mesh: "", name: "kuma-cluster-id" };
/** That it has had its HostnameGenerators: whoever deletes one does not want it. */
const generatorsMade: ResourceId = { kind: "Config", mesh: "", name: "kodiak-hostname-generators" };
const defaultMesh: ResourceId = { kind: "Mesh", mesh: "", name: "default" };
const tenYearsMs = 3650 * 86_400_000;

/** In a zone that has a global, everything but its own keys comes from there. */
export async function firstStart(
  store: Store,
  clock: Clock,
  random: Random,
  place: Place,
  keepAdminToken: (token: string) => Promise<void> = async () => {},
): Promise<void> {
  const isNew = store.revision === 0;
  const isFederated = place.kind === "zone" && place.isFederated;
  const places: readonly KeyPlace[] = [
    userTokenKeys,
    ...(isFederated ? [] : [zoneTokenKeys]),
    ...(place.kind === "global" ? [joinTokenKeys] : []),
  ];
  for (const place of places) {
    if (latestSigningKey(place, store.list("GlobalSecret"))) continue;
    await writeNew(store, [secretResource(signingKeyId(place, "1"), await createSigningKey())]);
  }
  if (!store.get(adminUserTokenId)) await makeAdminToken(store, clock, random, keepAdminToken);
  if (place.kind === "global" && !store.get(zoneAuthorityId))
    await writeNew(store, [secretResource(zoneAuthorityId, await createZoneAuthority(clock.now()))]);
  if (!store.get(generatorsMade))
    await writeNew(store, [...defaultGenerators(place), resource(generatorsMade, { config: "made" })]);
  if (isFederated) return;
  if (!store.get(clusterId)) await writeNew(store, [resource(clusterId, { config: random.uuid() })]);
  // Only once: whoever deletes it does not want it.
  if (isNew) await writeNew(store, [resource(defaultMesh, {})]);
}

async function makeAdminToken(
  store: Store,
  clock: Clock,
  random: Random,
  keep: (token: string) => Promise<void>,
): Promise<void> {
  const key = latestSigningKey(userTokenKeys, store.list("GlobalSecret"));
  if (!key) throw new Error("the key that signs user tokens has just been made and is not there");
  const admin = { name: "mesh-system:admin", groups: ["mesh-system:admin"] };
  const issuance = { tokenId: random.uuid(), now: clock.now(), validForMs: tenYearsMs };
  const token = await issueUserToken(admin, key, issuance);
  // First: who ends in between makes another one at the next start.
  await keep(token);
  await writeNew(store, [secretResource(adminUserTokenId, token)]);
}

const resource = (id: ResourceId, spec: Resource["spec"]): Resource => ({
  ...id,
  labels: {},
  spec,
  creationTime: zeroTime,
  modificationTime: zeroTime,
});

/** What tells this deployment from others; a federated zone has it from its global control plane. */
export const clusterIdOf = (store: Store): string => {
  const value = store.get(clusterId)?.spec.config;
  return typeof value === "string" ? value : "";
};
