// A mesh: what holds for all its proxies, first of all who vouches for them (interop 2.7).

import type { CertificateAuthorityBackendJson, MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import { parseAge } from "#lib/duration.ts";
import { at, type Issue } from "#lib/issue.ts";
import { isObject } from "#lib/json.ts";
import type { Resource } from "#resources/resource.ts";

/** The spec of a legacy kind is in its message's JSON form already. */
export const asMesh = (resource: Resource): Resource<MeshJson> => resource as Resource<MeshJson>;

type Path = readonly (string | number)[];
const issue = (path: Path, message: string): Issue => ({ path: at(...path), message });

export function meshIssues({ mtls }: MeshJson): readonly Issue[] {
  if (!mtls) return [];
  const { enabledBackend, backends = [] } = mtls;
  const names = backends.map(({ name = "" }) => name);
  const issues = backends.flatMap((backend, i) => [
    ...(names.indexOf(backend.name ?? "") === i
      ? []
      : [issue(["mtls", "backends", i, "name"], `must not be used twice: ${backend.name}`)]),
    ...backendIssues(backend, ["mtls", "backends", i]),
  ]);
  if (enabledBackend && !names.includes(enabledBackend))
    issues.push(issue(["mtls", "enabledBackend"], `must be the name of one of mtls.backends, not ${enabledBackend}`));
  return issues;
}

function backendIssues({ name, type, conf, dpCert }: CertificateAuthorityBackendJson, path: Path): readonly Issue[] {
  const issues: Issue[] = [];
  const age = (text: unknown, ...steps: string[]): void => {
    if (text === undefined || (typeof text === "string" && parseAge(text) !== undefined)) return;
    issues.push(issue([...path, ...steps], "must be one number and one of ms s m h d w y, like 7d"));
  };
  if (!name) issues.push(issue([...path, "name"], "is required"));
  if (type !== "builtin" && type !== "provided") issues.push(issue([...path, "type"], "must be builtin or provided"));
  if (type === "provided")
    for (const member of ["cert", "key"]) {
      const message = dataSourceProblem(conf?.[member]);
      if (message !== undefined) issues.push(issue([...path, "conf", member], message));
    }
  const authority = conf?.caCert;
  if (type === "builtin" && isObject(authority)) age(authority.expiration, "conf", "caCert", "expiration");
  age(dpCert?.rotation?.expiration || undefined, "dpCert", "rotation", "expiration");
  return issues;
}

const sources = ["secret", "inline", "inlineString"];

/** Zones issue, too, and a file is on one machine only. */
function dataSourceProblem(source: unknown): string | undefined {
  if (!isObject(source)) return "is required with type provided";
  const named = Object.keys(source).filter((member) => source[member] !== undefined);
  if (named.includes("file")) return "must not be a file, which other control planes do not have: put it into a Secret";
  const [only] = named;
  const isOne = named.length === 1 && only !== undefined && sources.includes(only) && typeof source[only] === "string";
  return isOne
    ? undefined
    : "must have one of secret (the name of a Secret of this mesh), inline (base64), inlineString";
}
