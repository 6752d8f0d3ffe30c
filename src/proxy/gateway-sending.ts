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

/** Listeners share clusters, but for those for which policies hold that are for some listeners only: these have others. */
export function sendingOf(input: ClusterInput): { readonly of: SendingOf; clusters(): readonly OutboundCluster[] } {
  const collector = (policies: Applied, mark: string) => ({
    ...{ policies, ...clusterCollector({ ...input, policies }, mark) },
  });
  const collectors = new Map<string, ReturnType<typeof collector>>();
  return {
    of({ section }) {
      const { policies, mark } = input.policies.atListener(section);
      const found = collectors.get(mark) ?? collector(policies, mark);
      collectors.set(mark, found);
      return found;
    },
    clusters: () =>
      [...collectors.values()].flatMap((one) => one.all()).sort((a, b) => (a.target.name < b.target.name ? -1 : 1)),
  };
}
