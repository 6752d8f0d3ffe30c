// What an Envoy holds of its mesh's mTLS: it has acknowledged the secret in the version that is computed now. Of an older version
// nothing new is known.

import { identitySecretName, trustSecretName } from "#envoy/tls.ts";
import type { Collection } from "#incremental/collection.ts";
import { isEqual } from "#lib/json.ts";
import type { CertificateStatus, Holds } from "#owned/proxy-insight.ts";
import type { Bundle } from "#proxy/bundle.ts";
import type { Pipeline } from "#proxy/pipeline.ts";
import { keyOf, type ResourceId } from "#resources/resource.ts";
import type { Session } from "#xds/session.ts";

export function heldSecrets(
  { identities, trusts, trusted }: Pipeline["secrets"],
  issued: Collection<CertificateStatus>,
) {
  const isCurrent = (session: Pick<Session, "versionHeld">, name: string, bundle: Bundle | undefined): boolean =>
    bundle?.[0] !== undefined && bundle[0].item.version === session.versionHeld("secret", name);

  return (session: Pick<Session, "versionHeld">, id: ResourceId, before: Holds): Holds => {
    if (id.kind !== "Dataplane") return before;
    const { mesh } = id;
    const key = keyOf(id);
    const hasTrust = isCurrent(session, trustSecretName(mesh), trusts.get(mesh));
    const hasCertificate = isCurrent(session, identitySecretName(mesh), identities.get(key));
    const certificate = (hasCertificate ? issued.get(key) : undefined) ?? before.certificate;
    const now = {
      trusts: (hasTrust ? trusted.get(mesh) : undefined) ?? before.trusts,
      ...(certificate && { certificate }),
    };
    return isEqual(now, before) ? before : now;
  };
}
