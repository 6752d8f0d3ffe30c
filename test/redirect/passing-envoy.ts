// An Envoy that only passes on what is redirected to it, to where it was going, and counts: enough to see what rules do. It answers DNS
// for one name. Its user is root; applications are of other users.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { endProcess, startProcess } from "#agent/process.ts";
import { envoy } from "../lab/envoy.ts";
import { getOverSocket } from "../lab/http.ts";
import { eventually, type Lab } from "../lab/lab.ts";
import type { NetHost } from "../lab/namespaces.ts";

/** Connections passed on, and DNS questions answered, since it started. */
export interface Counts {
  readonly outbound: number;
  readonly inbound: number;
  readonly dns: number;
}

export async function startPassingEnvoy(of: Lab, host: NetHost, names: Readonly<Record<string, string>>) {
  const socket = join(of.folder, `${host.address}.sock`);
  const file = join(of.folder, `${host.address}.json`);
  await writeFile(file, JSON.stringify(bootstrap(socket, names)));
  const args = ["--config-path", file, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"];
  const [command, ...rest] = host.inside(await envoy(), ...args);
  const lines: string[] = [];
  const onLine = (line: string): void => void lines.push(line);
  const running = await startProcess(command, rest, { onLine, orphaned: { removes: [] } });
  of.atEnd(() => endProcess(running, 5_000, new AbortController().signal));
  await eventually("the Envoy that passes on", 20_000, async () => {
    if ((await getOverSocket(socket, "/ready")) !== "LIVE\n") throw new Error(lines.join("\n"));
  });
  return {
    async counts(): Promise<Counts> {
      const text = await getOverSocket(socket, "/stats?filter=upstream_cx_total|dns_filter.*a_record_queries");
      const sum = (name: RegExp): number =>
        text
          .split("\n")
          .filter((line) => name.test(line))
          .reduce((total, line) => total + Number(line.split(": ")[1]), 0);
      return {
        outbound: sum(/^cluster\.outbound.*upstream_cx_total/),
        inbound: sum(/^cluster\.inbound.*upstream_cx_total/),
        dns: sum(/\.a_record_queries/),
      };
    },
  };
}

function bootstrap(socket: string, names: Readonly<Record<string, string>>): object {
  const families = [
    { family: "ipv4", any: "0.0.0.0", local: "127.0.0.1", source: "127.0.0.6" },
    { family: "ipv6", any: "::", local: "::1", source: "::6" },
  ];
  return {
    admin: { address: { pipe: { path: socket } } },
    static_resources: {
      listeners: families.flatMap(({ family, any, local }) => [
        listener(`outbound:${family}`, any, 15001),
        listener(`inbound:${family}`, any, 15006),
        dnsListener(`dns:${family}`, local, names),
      ]),
      clusters: families.flatMap(({ family, source }) => [
        cluster(`outbound:${family}`, {}),
        cluster(`inbound:${family}`, { upstream_bind_config: { source_address: { address: source, port_value: 0 } } }),
      ]),
    },
  };
}

const listener = (name: string, address: string, port: number) => ({
  name,
  address: { socket_address: { address, port_value: port } },
  use_original_dst: true,
  filter_chains: [
    {
      filters: [
        {
          name: "envoy.filters.network.tcp_proxy",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            stat_prefix: name,
            cluster: name,
          },
        },
      ],
    },
  ],
});

const cluster = (name: string, more: object) => ({
  name,
  type: "ORIGINAL_DST",
  connect_timeout: "5s",
  lb_policy: "CLUSTER_PROVIDED",
  ...more,
});

const dnsListener = (name: string, address: string, names: Readonly<Record<string, string>>) => ({
  name,
  address: { socket_address: { address, port_value: 15053, protocol: "UDP" } },
  listener_filters: [
    {
      name: "envoy.filters.udp.dns_filter",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig",
        stat_prefix: name,
        server_config: {
          inline_dns_table: {
            virtual_domains: Object.entries(names).map(([domain, at]) => ({
              name: domain,
              endpoint: { address_list: { address: [at] } },
            })),
          },
        },
      },
    },
  ],
});
