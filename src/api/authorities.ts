// A mesh's authorities and the Secrets that they are in: what is missing, what cannot sign, what may not go (interop 1.9), and
// that a mesh which promised mTLS keeps it.

import type { Issue } from "#lib/issue.ts";
import { asMesh } from "#resources/mesh.ts";
import type { Resource } from "#resources/resource.ts";
import type { View } from "#resources/store.ts";
import {
  type AuthoritySources,
  allowPlaintextAdvice,
  allowsPlaintext,
  authoritiesOf,
  meshFactsOf,
  type PemSource,
  pemData,
} from "#topology/mesh.ts";

/** What keeps a certificate and key (PEM) that a user provides from being an authority, with the paths `cert` and `key`. */
export type AuthorityIssues = (kept: { readonly certificate: string; readonly privateKey: string }) => readonly Issue[];

type Part = "cert" | "key";
const partsOf = ({ certificate, privateKey }: AuthoritySources) => [
  ["cert", certificate] as const,
  ["key", privateKey] as const,
];
const secretIn = (source: PemSource | undefined): string | undefined =>
  source && "secret" in source ? source.secret : undefined;
const names = (authority: AuthoritySources, secret: string): boolean =>
  partsOf(authority).some(([, source]) => secretIn(source) === secret);

/** What is wrong with the provided authorities of a mesh that is written; those that are built in are the control plane's. */
export function meshAuthorityIssues(view: View, mesh: Resource, check: AuthorityIssues): Issue[] {
  return authoritiesOf(asMesh(mesh)).flatMap((authority, index) => {
    if (authority.type !== "provided") return [];
    const at = (part: Part): string => `mtls.backends[${index}].conf.${part}`;
    const missing = partsOf(authority).flatMap(([part, source]) => {
      const name = secretIn(source);
      if (name === undefined || view.get({ kind: "Secret", mesh: mesh.name, name })) return [];
      const what = `the Secret "${name}" in mesh "${mesh.name}" does not exist; apply it first, or in the same file`;
      return [{ path: at(part), message: `could not load data: ${what}` }];
    });
    if (missing.length > 0) return missing;
    if (authority.privateKey && !secretIn(authority.privateKey)) {
      const why = "a Mesh goes to every zone and is shown to all who may read meshes: put the key into a Secret";
      return [{ path: at("key"), message: `must be in a Secret: ${why}` }];
    }
    return issuesOf(view, mesh.name, authority, check).map(({ path, message }) => ({
      path: at(path as Part),
      message,
    }));
  });
}

/** A Secret that is written, and that an authority of its mesh is in: with the other half of it that authority must go on. */
export function secretAuthorityIssues(view: View, secret: Resource, check: AuthorityIssues): Issue[] {
  return authoritiesNaming(view, secret)
    .filter(({ type }) => type === "provided")
    .flatMap((authority) =>
      issuesOf(viewWith(view, secret), secret.mesh, authority, check).map(({ path, message }) => ({
        path: "data",
        message: `the mTLS backend "${authority.backend}" of mesh "${secret.mesh}" could not go on: ${path}: ${message}; replace certificate and key together, in one file, or add a backend`,
      })),
    );
}

const viewWith = (view: View, secret: Resource): View => ({
  list: view.list,
  get: (id) => (id.kind === "Secret" && id.mesh === secret.mesh && id.name === secret.name ? secret : view.get(id)),
});

function issuesOf(
  view: View,
  mesh: string,
  { certificate, privateKey }: AuthoritySources,
  check: AuthorityIssues,
): readonly Issue[] {
  const text = (source: PemSource | undefined): string => {
    const data = pemData(source, (name) => {
      const inSecret = view.get({ kind: "Secret", mesh, name })?.spec.data;
      return typeof inSecret === "string" ? inSecret : undefined;
    });
    return Buffer.from(data ?? "", "base64").toString("utf8");
  };
  return check({ certificate: text(certificate), privateKey: text(privateKey) });
}

function authoritiesNaming(view: View, secret: Resource): readonly AuthoritySources[] {
  const mesh = view.get({ kind: "Mesh", mesh: "", name: secret.mesh });
  return mesh ? authoritiesOf(asMesh(mesh)).filter((authority) => names(authority, secret.name)) : [];
}

/** What stands in the way of deleting a Secret. */
export function secretInUseIssues(view: View, secret: Resource): Issue[] {
  const [authority] = authoritiesNaming(view, secret);
  if (!authority) return [];
  const { backend } = authority;
  return [
    {
      path: "name",
      message: `The secret "${secret.name}" that you are trying to remove is currently in use in Mesh "${secret.mesh}" in mTLS backend "${backend}". Please remove the reference from the "${backend}" backend before removing the secret.`,
    },
  ];
}

/** `before`: as it is stored. */
export function plaintextIssues(before: Resource | undefined, mesh: Resource): Issue[] {
  if (!before || !meshFactsOf(asMesh(before)).mtls || meshFactsOf(asMesh(mesh)).mtls || allowsPlaintext(mesh))
    return [];
  const message = `mesh "${mesh.name}" has mTLS, and would be plaintext without an enabled backend; ${allowPlaintextAdvice}`;
  return [{ path: "mtls.enabledBackend", message }];
}
