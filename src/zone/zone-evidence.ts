// Which other zones do not answer, as the Envoys of this zone's ingresses report (HDS): for people to see. Proxies go by their own requests
// (decision 20).

import type { Health } from "#discovery/health.ts";
import type { Clock } from "#host/world.ts";
import { isEqual } from "#lib/json.ts";
import { zoneOfProbe } from "#topology/probe.ts";

export interface ZoneEvidence {
  /** What an ingress's Envoy found, by name of the probe; `undefined`: it reports no more. */
  said(ingress: string, health: Health | undefined): void;
  /** Zones none of whose ingresses accepts a connection from here, and since when (milliseconds since the epoch). */
  silent(): ReadonlyMap<string, number>;
}

export function zoneEvidence({ now }: Pick<Clock, "now">, onChange: () => void): ZoneEvidence {
  const byIngress = new Map<string, Health>();
  let silent: ReadonlyMap<string, number> = new Map();

  return {
    said(ingress, health) {
      if (health) byIngress.set(ingress, health);
      else byIngress.delete(ingress);
      const zones = silentZones([...byIngress.values()]);
      const next = new Map(zones.map((zone) => [zone, silent.get(zone) ?? now()]));
      const isNews = !isEqual([...next.keys()], [...silent.keys()]);
      silent = next;
      if (isNews) onChange();
    },
    silent: () => silent,
  };
}

/** Sorted. */
function silentZones(reports: readonly Health[]): readonly string[] {
  const all = reports
    .flatMap((health) => [...health])
    .map(([probe, answers]) => [zoneOfProbe(probe), answers] as const);
  const answering = new Set(all.filter(([, answers]) => answers).map(([zone]) => zone));
  return [...new Set(all.map(([zone]) => zone))].filter((zone) => !answering.has(zone)).sort();
}
