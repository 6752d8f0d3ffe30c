// What the policies that are for a proxy say together, by the place where they say it.

import type { ClusterPiece } from "#envoy/cluster.ts";
import { policies } from "#policies/all.ts";
import type { Match } from "#policies/match.ts";
import type { HttpRule, Share } from "#policies/mesh-http-route/http-rule.ts";
import type { PassthroughConf } from "#policies/mesh-passthrough/schema.ts";
import type { InboundPlace, Pieces, Traffic } from "#policies/policy.ts";
import type { PolicySpec } from "#policies/schema.ts";
import type { Destination } from "#policies/to.ts";
import type { PolicyRef } from "#proxy/client.ts";
import type { Resource } from "#resources/resource.ts";

export interface Applied {
  to(destination: Destination, traffic: Traffic): Pieces;
  routes(destination: Destination): readonly HttpRule[];
  /** Of connections; `undefined`: to the destination itself. */
  split(destination: Destination): readonly Share[] | undefined;
  inbound(place: InboundPlace): Pieces;
  passthrough(): PassthroughConf | undefined;
  /**
   * What holds for what comes in at a listener of a builtin gateway, by its `section`. `mark`: names what of it is for some listeners only, and
   * is empty where nothing is; where it is equal, the same holds.
   */
  atListener(section: string): { readonly policies: Applied; readonly mark: string };
}

/** `find` gives a policy as it is now; one that has gone meanwhile says nothing. */
export function applied(
  refs: readonly PolicyRef[],
  find: (kind: string, key: string) => Resource<PolicySpec> | undefined,
): Applied {
  const matches = new Map<string, Match[]>(policies.map(({ kind }) => [kind, []]));
  for (const { kind, key, sections } of refs) {
    const policy = find(kind, key);
    if (policy) matches.get(kind)?.push({ policy, sections });
  }
  return appliedOf(matches);
}

function appliedOf(matches: ReadonlyMap<string, readonly Match[]>): Applied {
  const of = (kind: string): readonly Match[] => matches.get(kind) ?? [];
  return {
    to: (destination, traffic) =>
      joined(policies.map(({ kind, translate }) => translate.outbound?.(of(kind), destination, traffic))),
    routes: (destination) => policies.flatMap(({ kind, translate }) => translate.routes?.(of(kind), destination) ?? []),
    split: (destination) =>
      policies.map(({ kind, translate }) => translate.split?.(of(kind), destination)).find((split) => split),
    inbound: (place) => joined(policies.map(({ kind, translate }) => translate.inbound?.(of(kind), place))),
    passthrough: () =>
      policies.reduce<PassthroughConf | undefined>(
        (found, { kind, translate }) => found ?? translate.passthrough?.(of(kind)),
        undefined,
      ),
    atListener(section) {
      const isHere = (match: Match): boolean => !isForSomeListeners(match) || match.sections.includes(section);
      const here = new Map([...matches].map(([kind, all]) => [kind, all.filter(isHere)]));
      const own = [...here.values()].flat().filter(isForSomeListeners);
      const mark = own.map(({ policy: { kind, name } }) => `@${kind}/${name}`).sort();
      return { policies: appliedOf(here), mark: mark.join("") };
    },
  };
}

/** Of those that say how something is sent: routes lead where they lead, and what is said of who calls has its place. */
const isForSomeListeners = ({ policy: { kind, spec } }: Match): boolean =>
  spec.targetRef?.kind === "MeshGateway" &&
  Object.keys(spec.targetRef.tags ?? {}).length > 0 &&
  (spec.to ?? []).length > 0 &&
  kindsOfSending.has(kind);
const kindsOfSending = new Set(policies.flatMap(({ kind, translate }) => (translate.outbound ? [kind] : [])));

/** Policies say different things; where two say the same, the later in the order of application wins. */
function joined(pieces: readonly (Pieces | undefined)[]): Pieces {
  return pieces.reduce<Pieces>((all, piece) => {
    if (!piece) return all;
    return {
      cluster: joinedClusters(all.cluster ?? {}, piece.cluster ?? {}),
      route: { ...all.route, ...piece.route },
      connection: { ...all.connection, ...piece.connection },
      tcp: { ...all.tcp, ...piece.tcp },
      ...((piece.locality ?? all.locality) && { locality: piece.locality ?? all.locality }),
      ...((piece.permissions ?? all.permissions) && { permissions: piece.permissions ?? all.permissions }),
      ...((piece.ofClients ?? all.ofClients) && { ofClients: piece.ofClients ?? all.ofClients }),
    };
  }, {});
}

function joinedClusters(all: ClusterPiece, piece: ClusterPiece): ClusterPiece {
  const http = { ...all.http, ...piece.http };
  const { zoneAwareLbConfig, ...rest } = { ...all.commonLbConfig, ...piece.commonLbConfig };
  // Envoy takes one of the two: where localities have weights, requests are not failed in a panic.
  const commonLbConfig = { ...rest, ...(zoneAwareLbConfig && !rest.localityWeightedLbConfig && { zoneAwareLbConfig }) };
  return {
    ...all,
    ...piece,
    ...(Object.keys(http).length > 0 && { http }),
    ...(Object.keys(commonLbConfig).length > 0 && { commonLbConfig }),
  };
}
