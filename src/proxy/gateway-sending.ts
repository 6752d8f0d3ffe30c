// The way on for what comes in at the listeners of a builtin gateway: which policies hold for it, and which clusters these make.

import type { Applied } from "#proxy/applied.ts";
import { type ClusterInput, type ClusterOf, clusterCollector, type OutboundCluster } from "#proxy/outbound.ts";
import type { GatewayListener } from "#topology/gateway.ts";

/** How what comes in at a listener goes on. */
export interface ListenerSending {
  readonly policies: Applied;
  readonly clusterOf: ClusterOf;
}
export type SendingOf = (one: GatewayListener) => ListenerSending;

/** All listeners share clusters, unless a policy is for some of them: then each has its own. */
export function sendingOf(input: ClusterInput): { readonly of: SendingOf; clusters(): readonly OutboundCluster[] } {
  const collector = (policies: Applied, marked: string) => ({
    ...{ policies, ...clusterCollector({ ...input, policies }, marked) },
  });
  const collectors = new Map<string, ReturnType<typeof collector>>();
  return {
    of({ section }) {
      const own = input.policies.atListener(section);
      const marked = own ? `@${section}` : "";
      const found = collectors.get(marked) ?? collector(own ?? input.policies, marked);
      collectors.set(marked, found);
      return found;
    },
    clusters: () =>
      [...collectors.values()].flatMap((one) => one.all()).sort((a, b) => (a.target.name < b.target.name ? -1 : 1)),
  };
}
