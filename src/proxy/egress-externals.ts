// What an egress leads to outside the mesh: it ends the mesh's TLS, asks who calls, and calls the server itself (interop 7.8). Permissions
// and routes of HTTP come over RDS, as on inbounds.

import { deniedRequests } from "#envoy/access-log.ts";
import { externalCluster } from "#envoy/cluster.ts";
import { type Chain, closing, httpConnections, tcpProxy } from "#envoy/listener.ts";
import { denyAllHttp, httpPermissions, tcpPermissions } from "#envoy/rbac.ts";
import { downstreamTls, serviceSni } from "#envoy/tls.ts";
import type { Permissions } from "#policies/policy.ts";
import type { Draft } from "#proxy/bundle.ts";
import { leavingServers } from "#proxy/evidence.ts";
import { ingressClusterName } from "#proxy/ingress.ts";
import { externalHost } from "#proxy/outbound.ts";
import { type ExternalReach, externalPart } from "#topology/external.ts";
import { isHttp } from "#topology/inbound.ts";
import type { Tags } from "#topology/provider.ts";

/** A service outside, or the part of it with these tags, as proxies of the zone ask for it. */
export interface ExternalTarget {
  readonly mesh: string;
  readonly service: string;
  readonly subset: Tags;
  readonly reach: ExternalReach;
  readonly permissions: Permissions;
}

/** Of chain, cluster and routes. */
export const externalTargetName = ({ mesh, service, subset, reach }: ExternalTarget): string =>
  reach.resource ? service : ingressClusterName({ mesh, service, subset });

export const externalTargetSni = ({ mesh, service, subset, reach }: ExternalTarget): string =>
  reach.resource?.sni ?? serviceSni(mesh, service, subset);

const statPrefix = (name: string): string => name.replace(/[:.]/g, "_");

export function externalChain(target: ExternalTarget): Chain {
  const { mesh, reach, permissions } = target;
  const name = externalTargetName(target);
  const isReached = externalPart(reach, target.subset).endpoints.length > 0;
  const filters = isHttp(reach.protocol)
    ? [httpConnections(statPrefix(name), name, { accessLog: [deniedRequests] }, [denyAllHttp])]
    : [
        tcpPermissions(`${statPrefix(name)}.`, permissions),
        isReached ? tcpProxy(statPrefix(name), { cluster: name }) : closing,
      ];
  return { name, match: matching(target), filters, transportSocket: downstreamTls(mesh) };
}

const matching = (target: ExternalTarget): NonNullable<Chain["match"]> => ({
  ...{ transportProtocol: "tls", serverNames: [externalTargetSni(target)] },
});

/** The server's cluster, and for HTTP the routes there, who may take them among it. */
export function externalDrafts(target: ExternalTarget): readonly Draft[] {
  const name = externalTargetName(target);
  const { protocol, endpoints, missing } = externalPart(target.reach, target.subset);
  const hosts = endpoints.map(externalHost);
  const cluster: Draft = {
    ...{ type: "cluster", name },
    json: externalCluster(name, hosts, protocol, {
      // Where there is another it is not waited for long.
      ...{ lbPolicy: "ROUND_ROBIN", connectTimeout: hosts.length > 1 ? "2s" : "5s" },
      // A name may be that of several.
      ...((hosts.length > 1 || hosts.some(({ isName }) => isName)) && leavingServers),
    }),
  };
  if (!isHttp(protocol)) return [cluster];
  // How long a request may take is the client's to say.
  const to = { route: { cluster: name, autoHostRewrite: true, timeout: "0s" } };
  const why = { directResponse: { status: 503, body: { inlineString: missing.map((one) => one.why).join("; ") } } };
  const virtualHost = {
    ...{ name, domains: ["*"], typedPerFilterConfig: httpPermissions(target.permissions) },
    routes: [{ match: { prefix: "/" }, ...(endpoints.length > 0 ? to : why) }],
  };
  const routes: Draft = {
    ...{ type: "route", name, refers: [name] },
    json: { name, validateClusters: false, requestHeadersToRemove: ["x-kuma-tags"], virtualHosts: [virtualHost] },
  };
  return [cluster, routes];
}
