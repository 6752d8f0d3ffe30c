// Every kind of Kuma 2.14 (interop 1.7), and Role, which is ours (decision 13), as the table it is. What acts on a kind lies elsewhere: `policies/kinds.ts`.

import { registry } from "#gen/registry.ts";
import type { Kind } from "#resources/kind.ts";

// down: global → zone; up: zone → global; across: from one zone to the others; onGlobal, onZone: written there though not
// synchronised by that alone.
const table = `
  Config                     -                            -               Global  legacy  -       | down onZone      | plainName
  Dataplane                  dataplanes                   -               Mesh    legacy  dp      | up
  DataplaneInsight           dataplane-insights           -               Mesh    legacy  -       | up               | readOnly
  ExternalService            external-services            -               Mesh    legacy  -       | down
  Mesh                       meshes                       -               Global  legacy  m       | down             | plainName
  MeshGateway                meshgateways                 -               Mesh    legacy  mgw     | down up
  MeshInsight                mesh-insights                -               Global  legacy  -       | onGlobal         | readOnly
  Secret                     secrets                      -               Mesh    legacy  -       | down onZone      | adminOnly plainName
  ServiceInsight             service-insights             -               Mesh    legacy  -       | down             | readOnly
  Zone                       zones                        -               Global  legacy  z       | onGlobal onZone
  ZoneEgress                 zoneegresses                 -               Global  legacy  ze      | up
  ZoneEgressInsight          zoneegressinsights           -               Global  legacy  -       | up               | readOnly
  ZoneIngress                zoneingresses                zone-ingresses  Global  legacy  zi      | up across
  ZoneIngressInsight         zone-ingress-insights        -               Global  legacy  -       | up               | readOnly
  ZoneInsight                zone-insights                -               Global  legacy  -       | onGlobal onZone  | readOnly
  CircuitBreaker             circuit-breakers             -               Mesh    legacy  -       | down             | policy
  FaultInjection             fault-injections             -               Mesh    legacy  -       | down             | policy
  HealthCheck                health-checks                -               Mesh    legacy  -       | down             | policy
  MeshGatewayRoute           meshgatewayroutes            -               Mesh    legacy  -       | down             | policy
  ProxyTemplate              proxytemplates               -               Mesh    legacy  -       | down             | policy
  RateLimit                  rate-limits                  -               Mesh    legacy  -       | down             | policy
  Retry                      retries                      -               Mesh    legacy  -       | down             | policy
  Timeout                    timeouts                     -               Mesh    legacy  -       | down             | policy
  TrafficLog                 traffic-logs                 -               Mesh    legacy  -       | down             | policy
  TrafficPermission          traffic-permissions          -               Mesh    legacy  -       | down             | policy
  TrafficRoute               traffic-routes               -               Mesh    legacy  -       | down             | policy
  TrafficTrace               traffic-traces               -               Mesh    legacy  -       | down             | policy
  VirtualOutbound            virtual-outbounds            -               Mesh    legacy  -       | down             | policy
  MeshAccessLog              meshaccesslogs               -               Mesh    spec    mal     | down up across   | status policy
  MeshCircuitBreaker         meshcircuitbreakers          -               Mesh    spec    mcb     | down up across   | policy
  MeshFaultInjection         meshfaultinjections          -               Mesh    spec    mfi     | down up across   | policy
  MeshHTTPRoute              meshhttproutes               -               Mesh    spec    mhttpr  | down up across   | policy
  MeshHealthCheck            meshhealthchecks             -               Mesh    spec    mhc     | down up across   | policy
  MeshLoadBalancingStrategy  meshloadbalancingstrategies  -               Mesh    spec    mlbs    | down up across   | policy
  MeshMetric                 meshmetrics                  -               Mesh    spec    mm      | down up across   | status policy
  MeshPassthrough            meshpassthroughs             -               Mesh    spec    mp      | down up across   | policy
  MeshProxyPatch             meshproxypatches             -               Mesh    spec    mpp     | down up across   | policy
  MeshRateLimit              meshratelimits               -               Mesh    spec    mrl     | down up across   | policy
  MeshRetry                  meshretries                  -               Mesh    spec    mr      | down up across   | policy
  MeshTCPRoute               meshtcproutes                -               Mesh    spec    mtcpr   | down up across   | policy
  MeshTLS                    meshtlses                    -               Mesh    spec    mtls    | down up across   | policy
  MeshTimeout                meshtimeouts                 -               Mesh    spec    mt      | down up across   | policy
  MeshTrace                  meshtraces                   -               Mesh    spec    mtr     | down up across   | status policy
  MeshTrafficPermission      meshtrafficpermissions       -               Mesh    spec    mtp     | down up across   | policy
  HostnameGenerator          hostnamegenerators           -               Global  spec    hg      | down up
  MeshExternalService        meshexternalservices         -               Mesh    spec    extsvc  | down up          | status
  MeshIdentity               meshidentities               -               Mesh    spec    mid     | down up          | status
  MeshMultiZoneService       meshmultizoneservices        -               Mesh    spec    mzsvc   | down             | status
  MeshOpenTelemetryBackend   meshopentelemetrybackends    -               Mesh    spec    motb    | down up          | status
  MeshService                meshservices                 -               Mesh    spec    msvc    | up across        | status
  MeshTrust                  meshtrusts                   -               Mesh    spec    mtrust  | down up          | status
  MeshZoneAddress            meshzoneaddresses            -               Mesh    spec    mza     | up across
  Workload                   workloads                    -               Mesh    spec    wl      | up               | status
  Role                       roles                        -               Global  spec    -       | onGlobal onZone  | adminOnly
  GlobalSecret               globalsecrets                global-secrets  Global  legacy  -       | down onZone      | adminOnly plainName
`;

const systemMessages: ReadonlySet<string> = new Set(["Config", "Secret", "Zone", "ZoneInsight"]);

function messageOf(kind: string) {
  const message = kind === "GlobalSecret" ? "Secret" : kind;
  const name = `kuma.${systemMessages.has(message) ? "system" : "mesh"}.v1alpha1.${message}`;
  const found = registry.getMessage(name);
  if (!found) throw new Error(`no generated message ${name}`);
  return found;
}

function kindOf(row: string): Kind {
  const [names = "", sync = "", flags = ""] = row.split("|");
  const [name = "", plural, alias, scope, style, short = ""] = names.trim().split(/\s+/);
  const travels = new Set(sync.trim().split(/\s+/));
  const is = new Set(flags.trim().split(/\s+/));
  return {
    name,
    plural: plural === "-" ? undefined : plural,
    ...(alias !== undefined && alias !== "-" && { alias }),
    scope: scope === "Mesh" ? "Mesh" : "Global",
    style: style === "legacy" ? "legacy" : "spec",
    ...(style === "legacy" && { message: messageOf(name) }),
    short: short === "-" ? "" : short,
    sync: {
      globalToZone: travels.has("down"),
      zoneToGlobal: travels.has("up"),
      acrossZones: travels.has("across"),
      writtenOnGlobal: travels.has("down") || travels.has("onGlobal"),
      writtenOnZone: travels.has("up") || travels.has("onZone"),
    },
    readOnly: is.has("readOnly"),
    adminOnly: is.has("adminOnly"),
    plainName: is.has("plainName"),
    hasStatus: is.has("status"),
    isPolicy: is.has("policy"),
  };
}

export const kinds: readonly Kind[] = table.trim().split("\n").map(kindOf);
const kindByName: ReadonlyMap<string, Kind> = new Map(kinds.map((kind) => [kind.name, kind]));

export const findKind = (name: string): Kind | undefined => kindByName.get(name);

export function kindNamed(name: string): Kind {
  const kind = kindByName.get(name);
  if (!kind) throw new Error(`no kind ${name}`);
  return kind;
}

/** Kinds that a zone subscribes to on GlobalToZoneSync: 45, sorted (interop 4.2). */
export const globalToZoneKinds: readonly Kind[] = kinds
  .filter((kind) => kind.sync.globalToZone || kind.sync.acrossZones)
  .sort((a, b) => (a.name < b.name ? -1 : 1));

/** Kinds that global subscribes to on ZoneToGlobalSync: 31, sorted (interop 4.2). */
export const zoneToGlobalKinds: readonly Kind[] = kinds
  .filter((kind) => kind.sync.zoneToGlobal)
  .sort((a, b) => (a.name < b.name ? -1 : 1));
