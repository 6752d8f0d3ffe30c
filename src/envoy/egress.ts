// Zone egresses in Envoy's words (decision 17): the listener inside each client that leads to them, and how theirs finds the way of a
// connection: https://www.envoyproxy.io/docs/envoy/latest/configuration/other_features/internal_listener

import type { AnyJson } from "@bufbuild/protobuf/wkt";
import { any } from "#envoy/any.ts";
import { tcpProxy } from "#envoy/listener.ts";
import { meshAlpn, zoneAlpn, zoneAlpnEnd } from "#envoy/tls.ts";
import type { ListenerJson } from "#gen/envoy/config/listener/v3/listener_pb.ts";
import type { Matcher_OnMatchJson, MatcherJson } from "#gen/xds/type/matcher/v3/matcher_pb.ts";

/** Of the listener inside a client, and of the cluster that it leads to: the egresses of its zone. */
export const egressName = "kodiak:egress";

/** What an agent says that runs such an Envoy, and what its node says then. */
export const internalListenersFeature = "feature-kodiak-internal-listeners";
export const internalListenersKey = "kodiak.internalListeners";

/** Without it Envoy takes no internal listener. */
export const internalListeners: { readonly name: string; readonly typedConfig: AnyJson } = {
  name: "envoy.bootstrap.internal_listener",
  typedConfig: any("envoy.extensions.bootstrap.internal_listener.v3.InternalListener", {}),
};

/** A dead egress costs a connection attempt. */
export const toEgresses: ListenerJson = {
  name: egressName,
  internalListener: {},
  filterChains: [{ filters: [tcpProxy("kodiak_egress", { cluster: egressName, maxConnectAttempts: 3 })] }],
};

/** ALPN as a client offers it that names a zone. */
export const alpnThrough = (zone: string): readonly string[] => [meshAlpn, zoneAlpn(zone)];

const input = (name: string) => ({
  name,
  typedConfig: any(`envoy.extensions.matching.common_inputs.network.v3.${name}`, {}),
});
const alpn = input("ApplicationProtocolInput");
const serverName = input("ServerNameInput");

const toChain = (name: string): Matcher_OnMatchJson => ({
  action: { name: "chain", typedConfig: any("google.protobuf.StringValue", { value: name }) },
});

const byValue = (of: typeof alpn, chains: readonly (readonly [value: string, chain: string])[]): MatcherJson => ({
  matcherTree: {
    input: of,
    exactMatchMap: { map: Object.fromEntries(chains.map(([value, chain]) => [value, toChain(chain)])) },
  },
});

/**
 * Names of filter chains by the zone that the ALPN names, and for who names none by SNI. Envoy writes ALPN as a list of quoted texts.
 * A zone that is not known leads to no chain, not to what has the SNI.
 */
export function wayMatcher(zones: ReadonlyMap<string, string>, serverNames: ReadonlyMap<string, string>): MatcherJson {
  const quoted = (zone: string): string =>
    alpnThrough(zone)
      .map((one) => `'${one}'`)
      .join(",");
  const byZone = [...zones].map(([zone, chain]) => [quoted(zone), chain] as const);
  return {
    matcherList: {
      matchers: [
        {
          predicate: { singlePredicate: { input: alpn, valueMatch: { contains: `${zoneAlpnEnd}'` } } },
          // Envoy takes no map without an entry.
          onMatch:
            byZone.length === 0
              ? toChain("none")
              : { matcher: { ...byValue(alpn, byZone), onNoMatch: toChain("none") } },
        },
      ],
    },
    ...(serverNames.size > 0 && { onNoMatch: { matcher: byValue(serverName, [...serverNames]) } }),
  };
}
