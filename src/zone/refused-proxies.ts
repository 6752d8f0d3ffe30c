// The record of proxies that were refused: a line in the log for each, with who, from where and why, a count of each cause, and what
// the audit log has of it.

import type { Log } from "#host/log.ts";
import type { Metrics } from "#host/metrics.ts";
import type { RefusalRecord } from "#host/refusal-record.ts";
import { describeFailure, KodiakError } from "#lib/failure.ts";
import { hdsPath } from "#xds/health-server.ts";
import { adsPath } from "#xds/server.ts";

/** When: as it asked for its bootstrap, as it opened its stream, while that was open, with the stream of its health reports, or as it left. */
export type RefusedAt = "bootstrap" | "stream" | "connected" | "health" | "leave";

export interface RefusedProxy {
  readonly at: RefusedAt;
  /** As it calls itself: `mesh/name`, or a node's id. */
  readonly proxy: string | undefined;
  /** `address:port`; of one whose stream is ended, that of its stream. */
  readonly peer: string;
}

export interface RefusedProxies {
  /** Returns what the proxy is told. */
  record(who: RefusedProxy, error: unknown): string;
  /** By when and cause, since the start. */
  counts(): readonly { readonly at: RefusedAt; readonly cause: string; readonly count: number }[];
}

const pathOf: Readonly<Record<RefusedAt, string>> = {
  bootstrap: "/bootstrap",
  stream: adsPath,
  connected: adsPath,
  health: hdsPath,
  leave: "/leave",
};

export function refusedProxies(log: Log, audit: Pick<RefusalRecord, "attempt">): RefusedProxies {
  const counts = new Map<string, { readonly at: RefusedAt; readonly cause: string; count: number }>();
  return {
    record({ at, proxy, peer }, error) {
      const failure = error instanceof KodiakError ? error.failure : undefined;
      const reason = failure ? describeFailure(failure) : String(error);
      const cause = failure?.kind === "forbidden" ? (failure.cause ?? "other") : (failure?.kind ?? "other");
      const key = `${at} ${cause}`;
      const known = counts.get(key) ?? { at, cause, count: 0 };
      known.count++;
      counts.set(key, known);
      log.warn({ at, proxy, peer, cause, reason }, "refused a proxy");
      const who = { proxy: proxy ?? "" };
      void audit.attempt({ who, from: peer, verb: at, what: { path: pathOf[at], cause }, why: reason });
      return reason;
    },
    counts: () => [...counts.values()],
  };
}

export function refusedProxiesMetric({ counter }: Pick<Metrics, "counter">, { counts }: RefusedProxies): void {
  counter({
    name: "kodiak_refused_proxies_total",
    help: "Proxies that were refused: as they asked for a bootstrap, opened a stream, were connected, reported health or left, and why",
    labels: ["at", "cause"],
    read: () => counts().map(({ at, cause, count }) => ({ labels: { at, cause }, value: count })),
  });
}
