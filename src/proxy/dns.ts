// The names of a mesh for who answers DNS beside a proxy: as a table in Envoy's own DNS listener, or, for stock kuma-dp that answers
// itself, as a list that it asks for at a socket (interop 6.7, 8.3).

import { any } from "#envoy/any.ts";
import { routerFilter } from "#envoy/listener.ts";
import type { AddressJson } from "#gen/envoy/config/core/v3/address_pb.ts";
import type { ListenerJson } from "#gen/envoy/config/listener/v3/listener_pb.ts";
import type { RouteJson } from "#gen/envoy/config/route/v3/route_components_pb.ts";
import type { HttpConnectionManagerJson } from "#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { DnsFilterConfigJson } from "#gen/envoy/extensions/filters/udp/dns_filter/v3/dns_filter_pb.ts";
import { sha256Hex } from "#lib/hash.ts";
import type { Draft } from "#proxy/bundle.ts";
import type { DnsWay } from "#topology/node.ts";

export interface DnsRecord {
  /** Lower case. */
  readonly name: string;
  readonly addresses: readonly string[];
}

export interface DnsPlace {
  readonly mesh: string;
  readonly zone: string;
}

/** `records`: sorted by name. */
export const dnsDraft = (way: DnsWay, records: readonly DnsRecord[], place: DnsPlace): Draft =>
  way.kind === "envoy" ? tableDraft(way.port, records) : listDraft(way.socket, records, place);

/** The least that Envoy takes. Who asks it for others says less to them. */
const tableTtl = "30s";

function tableDraft(port: number, records: readonly DnsRecord[]): Draft {
  const name = "kuma:dns";
  const address: AddressJson = { socketAddress: { protocol: "UDP", address: "127.0.0.1", portValue: port } };
  const virtualDomains = records.map((record) => ({
    name: record.name,
    endpoint: { addressList: { address: [...record.addresses] } },
    answerTtl: tableTtl,
  }));
  const config: DnsFilterConfigJson = { statPrefix: "kuma_dns", serverConfig: { inlineDnsTable: { virtualDomains } } };
  const json: ListenerJson = {
    ...{ name, address, trafficDirection: "INBOUND", enableReusePort: true },
    listenerFilters: [
      {
        name: "envoy.filters.udp.dns_filter",
        typedConfig: any("envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig", config),
      },
    ],
  };
  return { type: "listener", name, json };
}

/** Seconds: an address that a name has no more is asked for no longer. */
const listTtl = 5;

function listDraft(socket: string, records: readonly DnsRecord[], { mesh, zone }: DnsPlace): Draft {
  const name = "_kuma:dynamicconfig";
  const path = "/dns";
  const body = JSON.stringify({
    records: records.map(({ name, addresses }) => ({ name, ips: addresses })),
    ttl: listTtl,
    extraLabels: { kuma_io_zone: zone, mesh },
  });
  const etag = sha256Hex(body);
  const routes: RouteJson[] = [
    {
      match: { path, headers: [{ name: "If-None-Match", stringMatch: { exact: etag } }] },
      directResponse: { status: 304 },
    },
    {
      name: `${name}:${path}`,
      match: { path },
      directResponse: { status: 200, body: { inlineString: body } },
      responseHeadersToAdd: [{ header: { key: "Etag", value: etag } }],
    },
  ];
  const manager: HttpConnectionManagerJson = {
    statPrefix: "_kuma_dynamicconfig",
    routeConfig: {
      virtualHosts: [{ name, domains: ["*"], routes }],
      maxDirectResponseBodySizeBytes: Buffer.byteLength(body),
    },
    httpFilters: [routerFilter],
    internalAddressConfig: {
      cidrRanges: [
        { addressPrefix: "127.0.0.1", prefixLen: 32 },
        { addressPrefix: "::1", prefixLen: 128 },
      ],
    },
  };
  const json: ListenerJson = {
    name,
    address: { pipe: { path: socket } },
    filterChains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typedConfig: any(
              "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              manager,
            ),
          },
        ],
      },
    ],
  };
  return { type: "listener", name, json };
}
