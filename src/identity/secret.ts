// Secrets that control planes keep for themselves: what they are called and how bytes lie in them (interop 5.1, 7.4).

import type { Resource, ResourceId } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import { authoritySecretNames } from "#topology/mesh.ts";

/** A mesh's built-in authority: certificate and key, both PEM. */
export const builtinCertificateId = (mesh: string, backend: string): ResourceId => ({
  kind: "Secret",
  mesh,
  name: authoritySecretNames(mesh, backend).certificate,
});
export const builtinKeyId = (mesh: string, backend: string): ResourceId => ({
  kind: "Secret",
  mesh,
  name: authoritySecretNames(mesh, backend).privateKey,
});

/** A user token of the administrator, made at the first start. */
export const adminUserTokenId: ResourceId = { kind: "GlobalSecret", mesh: "", name: "admin-user-token" };

/** The bytes in a Secret or GlobalSecret; in JSON they are base64. */
export function secretData(secret: Pick<Resource, "spec">): Uint8Array {
  const data = secret.spec.data;
  return typeof data === "string" ? Buffer.from(data, "base64") : new Uint8Array();
}
export const secretText = (secret: Pick<Resource, "spec">): string => Buffer.from(secretData(secret)).toString("utf8");

/** A control plane's own Secrets carry no labels (interop 1.5); the store sets the times. */
export const secretResource = (id: ResourceId, data: string | Uint8Array): Resource => ({
  ...id,
  labels: {},
  spec: { data: Buffer.from(data).toString("base64") },
  creationTime: zeroTime,
  modificationTime: zeroTime,
});
