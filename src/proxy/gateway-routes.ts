// Where the requests go that come in at a builtin gateway: its listeners' names, each with the rules of the MeshHTTPRoutes that are for it.

import type { VirtualHostJson } from "#gen/envoy/config/route/v3/route_components_pb.ts";
import type { Match } from "#policies/match.ts";
import type { HttpRule } from "#policies/mesh-http-route/http-rule.ts";
import type { MeshHTTPRoute } from "#policies/mesh-http-route/schema.ts";
import { httpRules } from "#policies/mesh-http-route/translate.ts";
import type { Draft } from "#proxy/bundle.ts";
import type { ListenerSending, SendingOf } from "#proxy/gateway-sending.ts";
import { destination, type OutboundInput, protocolIn, routeJson, routeWays, usualOf } from "#proxy/outbound.ts";
import { bySpecificity, covers, type GatewayListener, narrowed } from "#topology/gateway.ts";

export interface GatewayRoutesInput extends Pick<OutboundInput, "factsOf" | "findResource" | "policies" | "cutOff"> {
  /** Those that are for the gateway; `sections` are its listeners. */
  readonly routes: readonly Match<MeshHTTPRoute>[];
}

/** Of the names of these listeners. */
export function gatewayRoutes(
  name: string,
  input: GatewayRoutesInput,
  listeners: readonly GatewayListener[],
  sending: SendingOf,
): Draft {
  const used = new Set<string>();
  const virtualHosts = hostsOf(input.routes, listeners).map(
    ({ hostname, rules, at }): VirtualHostJson => ({
      name: hostname,
      domains: [hostname],
      routes: rules.map((rule) => ruleJson(input, rule, sending(at), used)),
    }),
  );
  return {
    ...{ type: "route", name },
    refers: [...used].sort(),
    json: { name, validateClusters: false, ignorePortInHostMatching: true, virtualHosts },
  };
}

function ruleJson(
  input: GatewayRoutesInput,
  rule: HttpRule,
  { policies, clusterOf }: ListenerSending,
  used: Set<string>,
) {
  const { factsOf, findResource } = input;
  const [first] = rule.split.flatMap((one) => usualOf(one, findResource) ?? []);
  const facts = first && factsOf(first.service);
  const said =
    first &&
    policies.to(destination(first.service, first.tags, facts), {
      ...{ protocol: protocolIn(facts), routes: rule.origins },
    }).route;
  return routeJson(rule, said, routeWays(input, clusterOf, used));
}

interface Host {
  readonly hostname: string;
  readonly rules: readonly HttpRule[];
  readonly at: GatewayListener;
}

/** A name belongs to the listener that says it most exactly; what routes say of a name comes before what they say of names that cover it. */
function hostsOf(matches: readonly Match<MeshHTTPRoute>[], listeners: readonly GatewayListener[]): readonly Host[] {
  const exact = [...listeners].sort((a, b) => bySpecificity(a.hostname, b.hostname));
  const hosts = new Map<string, Host>();
  for (const one of exact) {
    const byHost = new Map(hostnamesOf(matches, one).map((hostname) => [hostname, rulesFor(matches, one, hostname)]));
    for (const hostname of byHost.keys()) {
      if (hosts.has(hostname) || exact.find((other) => covers(other.hostname, hostname)) !== one) continue;
      const covering = [...byHost].filter(([other]) => covers(other, hostname));
      const rules = covering.sort(([a], [b]) => bySpecificity(a, b)).flatMap(([, own]) => own);
      hosts.set(hostname, { hostname, rules, at: one });
    }
  }
  return [...hosts.values()].sort((a, b) => bySpecificity(a.hostname, b.hostname));
}

type ToEntry = NonNullable<MeshHTTPRoute["to"]>[number];

/** As far as they are the listener's. */
const namesOf = ({ hostnames = [] }: ToEntry, { hostname }: GatewayListener): readonly string[] =>
  hostnames.length === 0 ? [hostname] : hostnames.flatMap((one) => narrowed(hostname, one) ?? []);

const isFor = ({ section }: GatewayListener, { sections }: Match<MeshHTTPRoute>): boolean => sections.includes(section);

const hostnamesOf = (matches: readonly Match<MeshHTTPRoute>[], one: GatewayListener): readonly string[] => [
  ...new Set(
    matches
      .filter((match) => isFor(one, match))
      .flatMap(({ policy }) => (policy.spec.to ?? []).flatMap((entry) => namesOf(entry, one))),
  ),
];

/** Without the route that takes all the rest: a gateway has no destination of its own, and says 404. */
function rulesFor(matches: readonly Match<MeshHTTPRoute>[], one: GatewayListener, hostname: string) {
  const own = matches
    .filter((match) => isFor(one, match))
    .map(({ policy, sections }) => {
      const to = (policy.spec.to ?? []).filter((entry) => namesOf(entry, one).includes(hostname));
      return { sections, policy: { ...policy, spec: { ...policy.spec, to } } };
    });
  const anything = { kind: "service", service: "*", tags: {} } as const;
  return httpRules(own, anything).filter(({ origins }) => origins.length > 0);
}
