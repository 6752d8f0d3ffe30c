// Builtin gateways: the MeshGateway that a proxy takes its listeners from, and what those leave unsaid (interop 2.9).

import type { MeshGateway_ListenerJson, MeshGatewayJson } from "#gen/kuma/mesh/v1alpha1/gateway_pb.ts";
import type { Resource } from "#resources/resource.ts";
import type { Tags } from "#topology/provider.ts";

export type MeshGateway = Resource<MeshGatewayJson>;

export interface GatewayListener {
  /** Tells it from the others of its gateway. */
  readonly section: string;
  readonly port: number;
  readonly protocol: NonNullable<MeshGateway_ListenerJson["protocol"]>;
  /** `*`: any. */
  readonly hostname: string;
  /** Of the proxy, its gateway and the listener; the last has the last word. */
  readonly tags: Tags;
  /** Absent: what comes in is no TLS, or nothing is done with it. */
  readonly tls?: "TERMINATE" | "PASSTHROUGH";
  /** Names of Secrets. */
  readonly certificates: readonly string[];
  /** How many connections it takes at once; absent: any number. */
  readonly connectionLimit?: number;
}

/** The one with the selector that says most; of equal ones the first by name. */
export function gatewayFor(tags: Tags, gateways: Iterable<MeshGateway>): MeshGateway | undefined {
  const [best] = [...gateways]
    .flatMap((gateway) => {
      const selectors = (gateway.spec.selectors ?? []).map(({ match = {} }) => match).filter((one) => fits(one, tags));
      return selectors.length > 0 ? [{ gateway, weight: Math.max(...selectors.map(weightOf)) }] : [];
    })
    .sort((a, b) => b.weight - a.weight || (a.gateway.name < b.gateway.name ? -1 : 1));
  return best?.gateway;
}

const fits = (selector: Tags, tags: Tags): boolean =>
  Object.entries(selector).every(([key, value]) => tags[key] === value || (value === "*" && tags[key] !== undefined));

/** What is named counts more than any number of what may be anything. */
const weightOf = (selector: Tags): number =>
  Object.values(selector).reduce((sum, value) => sum + (value === "*" ? 1 : 1_000), 0);

/** Without those for other meshes, which nobody else may reach. */
export const listenersOf = ({ spec }: MeshGateway, tags: Tags): readonly GatewayListener[] =>
  (spec.conf?.listeners ?? []).flatMap((one) => (one.crossMesh ? [] : [listenerOf(one, { ...tags, ...spec.tags })]));

function listenerOf(
  { port = 0, protocol = "NONE", hostname = "", tags = {}, tls, resources }: MeshGateway_ListenerJson,
  usual: Tags,
): GatewayListener {
  return {
    section: `${port}/${hostname || "*"}`,
    port,
    protocol,
    hostname: hostname || "*",
    tags: { ...usual, ...tags },
    ...(tls?.mode && tls.mode !== "NONE" && { tls: tls.mode }),
    certificates: (tls?.certificates ?? []).flatMap(({ secret }) => secret ?? []),
    ...(resources?.connectionLimit && { connectionLimit: resources.connectionLimit }),
  };
}

/** `*` covers every name, `*.example.com` all below example.com, and each name itself. */
export const covers = (pattern: string, hostname: string): boolean =>
  pattern === "*" ||
  pattern === hostname ||
  (pattern.startsWith("*.") && hostname.endsWith(pattern.slice(1)) && hostname !== "*");

/** What is in both; `undefined`: nothing. */
export function narrowed(a: string, b: string): string | undefined {
  if (covers(a, b)) return b;
  return covers(b, a) ? a : undefined;
}

/** More specific ones first. */
export const bySpecificity = (a: string, b: string): number =>
  Number(a.startsWith("*")) - Number(b.startsWith("*")) || b.length - a.length || (a < b ? -1 : 1);
