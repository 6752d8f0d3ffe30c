// What an Envoy holds of its mesh's mTLS: it has acknowledged the secret in the version that is computed now. Of an older version
// nothing new is known.

import type { Collection } from "#incremental/collection.ts";
import { isEqual } from "#lib/json.ts";
import type { CertificateStatus, Holds } from "#owned/proxy-insight.ts";
import type { Pipeline } from "#proxy/pipeline.ts";
import { keyOf, type ResourceId } from "#resources/resource.ts";
import { isHeld, type Session } from "#xds/session.ts";

export function heldSecrets(
  { identities, trusts, trusted }: Pipeline["secrets"],
  issued: Collection<CertificateStatus>,
) {
  return (session: Pick<Session, "versionHeld">, id: ResourceId, before: Holds): Holds => {
    if (id.kind !== "Dataplane") return before;
    const { mesh } = id;
    const key = keyOf(id);
    const hasTrust = isHeld(session, trusts.get(mesh));
    const hasCertificate = isHeld(session, identities.get(key));
    const certificate = (hasCertificate ? issued.get(key) : undefined) ?? before.certificate;
    const now = {
      trusts: (hasTrust ? trusted.get(mesh) : undefined) ?? before.trusts,
      ...(certificate && { certificate }),
    };
    return isEqual(now, before) ? before : now;
  };
}
