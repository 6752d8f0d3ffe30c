// Makes the keys that a control plane finds missing. Each is made once: somebody else's, written meanwhile, wins.

import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import { createBuiltinAuthority } from "#identity/authority.ts";
import { builtinCertificateId, builtinKeyId, secretResource } from "#identity/secret.ts";
import { createSigningKey, dataplaneTokenKeys, signingKeyId } from "#identity/signing-key.ts";
import type { Changes, Collection } from "#incremental/collection.ts";
import { isConflict } from "#lib/failure.ts";
import type { MissingKey } from "#owned/defaults.ts";
import type { Resource } from "#resources/resource.ts";
import type { Edit, Store } from "#resources/store.ts";

const firstSerial = "1";

/** For each mesh: what `missingKeys` says. */
export function keyMaker(missing: Collection<readonly MissingKey[]>, store: Store, clock: Clock, log: Log) {
  const making = new Set<string>();

  async function make(key: MissingKey): Promise<void> {
    const mark = JSON.stringify(key);
    if (making.has(mark)) return;
    making.add(mark);
    try {
      await writeNew(store, await secretsOf(key, clock.now()));
      log.info({ mesh: key.mesh, key: key.kind }, "made a key");
    } catch (error) {
      log.error({ mesh: key.mesh, key: key.kind, error: String(error) }, "could not make a key");
    } finally {
      making.delete(mark);
    }
  }

  return (changes: Changes): void => {
    for (const mesh of changes.get(missing) ?? []) for (const key of missing.get(mesh) ?? []) void make(key);
  };
}

async function secretsOf(key: MissingKey, now: number): Promise<readonly Resource[]> {
  switch (key.kind) {
    case "signing-key":
      return [secretResource(signingKeyId(dataplaneTokenKeys(key.mesh), firstSerial), await createSigningKey())];
    case "authority": {
      const { rsaBits, validityMs } = key;
      const authority = await createBuiltinAuthority(key.mesh, now, { rsaBits, validityMs });
      return [
        secretResource(builtinCertificateId(key.mesh, key.backend), authority.certificate),
        secretResource(builtinKeyId(key.mesh, key.backend), authority.privateKey),
      ];
    }
  }
}

/** All or none of them; nothing if one is there already. */
export async function writeNew(store: Store, resources: readonly Resource[]): Promise<void> {
  try {
    await store.write(resources.map((resource): Edit => ({ kind: "put", resource, expected: "absent" })));
  } catch (error) {
    if (!isConflict(error)) throw error;
  }
}
