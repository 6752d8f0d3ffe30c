// A service outside the mesh, which proxies call for applications (interop 2.7): where it is, and with which TLS.

import type { ExternalServiceJson } from "#gen/kuma/mesh/v1alpha1/externalservice_pb.ts";
import type { DataSourceJson } from "#gen/kuma/system/v1alpha1/datasource_pb.ts";
import type { HostPort } from "#lib/address.ts";
import { at, type Issue } from "#lib/issue.ts";
import { addressIssues, portIssues } from "#resources/address.ts";
import { type Resource, tag } from "#resources/resource.ts";

/** The spec of a legacy kind is in its message's JSON form already. */
export const asExternalService = (resource: Resource): Resource<ExternalServiceJson> =>
  resource as Resource<ExternalServiceJson>;

/** `example.com:443`, `[2001:db8::1]:443`; `undefined`: neither. */
export function externalAddress(text: string): HostPort | undefined {
  const [, bracketed, plain, digits] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  return address === undefined ? undefined : { address, port: Number(digits) };
}

const protocols: ReadonlySet<string> = new Set(["http", "http2", "grpc", "tcp", "kafka"]);

export function externalServiceIssues({ tags = {}, networking = {} }: ExternalServiceJson): readonly Issue[] {
  const issues: Issue[] = [];
  if (!tags[tag.service]) issues.push({ path: at("tags", tag.service), message: "is required" });
  const protocol = tags[tag.protocol];
  if (protocol !== undefined && !protocols.has(protocol))
    issues.push({ path: at("tags", tag.protocol), message: `must be one of ${[...protocols].join(", ")}` });
  const path = ["networking", "address"];
  const place = externalAddress(networking.address ?? "");
  if (!place) issues.push({ path: at(...path), message: "is required, as host:port, like example.com:443" });
  else
    issues.push(...addressIssues(place.address, path, "is required"), ...portIssues(place.port, path, "has no port"));
  const { tls } = networking;
  if (!tls) return issues;
  for (const [name, source] of [
    ["caCert", tls.caCert],
    ["clientCert", tls.clientCert],
    ["clientKey", tls.clientKey],
  ] as const)
    if (source && !isOneSource(source))
      issues.push({
        path: at("networking", "tls", name),
        message: "must have one of secret (the name of a Secret of this mesh), inline (base64), inlineString",
      });
  for (const [name, is, other] of [
    ["clientCert", tls.clientCert, tls.clientKey],
    ["clientKey", tls.clientKey, tls.clientCert],
  ] as const)
    if (!is && other) issues.push({ path: at("networking", "tls", name), message: "is required with the other half" });
  return issues;
}

const isOneSource = (source: DataSourceJson): boolean =>
  Object.keys(source).length === 1 &&
  (source.secret !== undefined || source.inline !== undefined || source.inlineString !== undefined);
