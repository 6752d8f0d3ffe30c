// Which authority signs for a backend of a mesh: what the Mesh says of it, and the Secrets that it names.

import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { KeptAuthority } from "#identity/authority.ts";
import type { Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";
import { authoritiesOf, pemData } from "#topology/mesh.ts";

const textOf = (base64: string | undefined): string | undefined =>
  base64 === undefined ? undefined : Buffer.from(base64, "base64").toString("utf8");

/** A mesh's authority as it is known here. A zone may have its certificate only: its key stays on global. */
export interface KnownAuthority extends Omit<KeptAuthority, "privateKey"> {
  readonly privateKey: string | undefined;
}

/** `undefined` until its certificate is there: Secrets may come from global later than the Mesh. */
export function signingAuthority(
  store: Pick<Store, "get">,
  resource: Resource<MeshJson> | undefined,
  backend: string,
): KnownAuthority | undefined {
  const sources = resource && authoritiesOf(resource).find((one) => one.backend === backend);
  if (!sources) return undefined;
  const mesh = resource.name;
  const secretData = (name: string): string | undefined => {
    const data = store.get({ kind: "Secret", mesh, name })?.spec.data;
    return typeof data === "string" ? data : undefined;
  };
  const [certificate, privateKey] = [sources.certificate, sources.privateKey].map((source) =>
    textOf(pemData(source, secretData)),
  );
  if (certificate === undefined) return undefined;
  return { what: `the authority ${backend} of mesh ${mesh}`, certificate, privateKey };
}
