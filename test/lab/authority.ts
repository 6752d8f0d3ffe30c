// The authority of a mesh, where its key is kept: on global, or in a zone that stands alone. With it a test makes certificates that proxies believe.

import assert from "node:assert/strict";
import { type Authority, readAuthority } from "#identity/authority.ts";
import { builtinCertificateId, builtinKeyId, secretText } from "#identity/secret.ts";
import type { ResourceId } from "#resources/resource.ts";
import type { LabZone } from "./lab.ts";

export function authorityOf(mesh: string, { store }: Pick<LabZone, "store">): Authority {
  const textOf = (id: ResourceId): string => {
    const secret = store.get(id);
    assert.ok(secret, `${id.kind} ${id.name}`);
    return secretText(secret);
  };
  const [certificate, privateKey] = [builtinCertificateId(mesh, "ca-1"), builtinKeyId(mesh, "ca-1")].map(textOf);
  return readAuthority({ what: mesh, certificate: certificate ?? "", privateKey: privateKey ?? "" });
}
