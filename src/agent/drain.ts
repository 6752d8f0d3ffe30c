// Leaving without loss, what concerns Envoy: connections are asked to go, then it is waited until nobody uses this proxy. Before
// it, the control plane must have taken the proxy out of everyone's rotation: a connection that goes must not come back.
// An idle pooled connection is never asked to go and stays, so connections of HTTP listeners are not waited for, requests are.

import { addressText, type EnvoyAdmin } from "#agent/admin.ts";
import { pauseUnless } from "#agent/process.ts";
import { isObject, type JsonObject } from "#lib/json.ts";

export interface Idle {
  /** It was idle before the time was over. */
  readonly isIdle: boolean;
  readonly activeRequests: number;
  /** Connections of inbound TCP listeners. */
  readonly activeConnections: number;
}

const pollMs = 50;
/** No request came for this long: those that were under way to us have arrived. */
const quietMs = 400;

/** Asks connections to go and waits until the proxy is idle, at most `limitMs`, less where the signal is aborted. */
export async function drainEnvoy(admin: EnvoyAdmin, limitMs: number, signal: AbortSignal): Promise<Idle> {
  await admin.failHealthChecks();
  return untilIdle(admin, limitMs, signal);
}

export async function untilIdle(admin: EnvoyAdmin, limitMs: number, signal: AbortSignal): Promise<Idle> {
  const inbound = inboundOf(await admin.configs("dynamic_listeners"));
  const endAt = Date.now() + limitMs;
  let total = -1;
  let changedAt = Date.now();
  for (;;) {
    const usage = usageIn(await admin.stats(usageFilter), inbound);
    const now = Date.now();
    if (usage.totalRequests !== total) changedAt = now;
    total = usage.totalRequests;
    const isBusy = usage.activeRequests > 0 || usage.activeConnections > 0;
    const isIdle = !isBusy && now - changedAt >= quietMs;
    if (isIdle || now >= endAt || signal.aborted) return { ...usage, isIdle };
    await pauseUnless(Math.min(pollMs, endAt - now), signal);
  }
}

const usageFilter = "^http\\..*\\.downstream_rq_(active|total)$|^listener\\..*\\.downstream_cx_active$";

/**
 * Requests under way are counted in both directions, so that none of the application is cut off; new ones and TCP connections
 * only of inbounds: an application that goes on calling others, or holds a connection to its database, would never be idle.
 */
function usageIn(stats: ReadonlyMap<string, number>, inbound: Inbound) {
  const usage = { activeRequests: 0, activeConnections: 0, totalRequests: 0 };
  for (const [name, value] of stats) {
    const [, kind, prefix = "", stat] =
      /^(http|listener)\.(.*)\.downstream_(rq_active|rq_total|cx_active)$/.exec(name) ?? [];
    // Our own questions.
    if (prefix === "admin") continue;
    if (stat === "rq_active") usage.activeRequests += value;
    else if (stat === "rq_total" && inbound.http.has(prefix)) usage.totalRequests += value;
    else if (kind === "listener" && inbound.tcp.has(prefix)) usage.activeConnections += value;
  }
  return usage;
}

/** Prefixes of statistics: of HTTP connection managers, and of listeners without one. */
interface Inbound {
  readonly http: ReadonlySet<string>;
  readonly tcp: ReadonlySet<string>;
}

function inboundOf(dumps: readonly JsonObject[]): Inbound {
  const http = new Set<string>();
  const tcp = new Set<string>();
  for (const dump of dumps) {
    const listener = isObject(dump.active_state) ? dump.active_state.listener : undefined;
    if (!isObject(listener) || listener.traffic_direction !== "INBOUND") continue;
    const prefixes = httpPrefixesIn(listener);
    for (const prefix of prefixes) http.add(prefix);
    if (prefixes.length === 0) tcp.add(statName(listener.stat_prefix || addressText(listener.address)));
  }
  return { http, tcp };
}

function httpPrefixesIn(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(httpPrefixesIn);
  if (!isObject(value)) return [];
  const isManager = String(value["@type"]).endsWith(".HttpConnectionManager");
  return isManager ? [statName(value.stat_prefix)] : Object.values(value).flatMap(httpPrefixesIn);
}

/** Envoy writes colons in names of statistics as underscores. */
const statName = (name: unknown): string => String(name).replaceAll(":", "_");
