// What Prometheus hears of this zone's Envoys.

import { envoyTypes } from "#discovery/order.ts";
import type { Metrics } from "#host/metrics.ts";
import type { XdsServer } from "#xds/server.ts";

export function xdsMetrics({ counter, gauge }: Pick<Metrics, "counter" | "gauge">, xds: XdsServer): void {
  gauge({ name: "kodiak_connected_proxies", help: "Proxies that have a stream open", read: () => xds.connected });
  const outcomes = [
    ["pushes", "Responses sent to proxies", "sent"],
    ["acks", "Responses that proxies accepted", "acknowledged"],
    ["nacks", "Responses that proxies refused", "rejected"],
  ] as const;
  for (const [name, help, outcome] of outcomes)
    counter({
      name: `kodiak_xds_${name}_total`,
      help,
      labels: ["type"],
      read: () => envoyTypes.map((type) => ({ labels: { type }, value: xds.counts[type][outcome] })),
    });
  counter({
    name: "kodiak_xds_encoded_bytes_total",
    help: "Bytes of configuration that had changed: encoded once, sent to each proxy that uses it",
    read: () => xds.counts.encodedBytes,
  });
}
