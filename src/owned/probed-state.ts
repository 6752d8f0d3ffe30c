// What health discovery says of a proxy, as its Dataplane shows it (interop 6.6): `state` of each inbound, and `health`, which mirrors it.

import type { JsonObject } from "#lib/json.ts";
import { asDataplane } from "#resources/dataplane.ts";
import type { Resource } from "#resources/resource.ts";
import { applicationAddress, type Inbound } from "#topology/inbound.ts";
import { adminCheckName, probeAt, probesOf } from "#topology/probe.ts";

/** The Dataplane as it is where nothing is to be changed. `health`: by what was checked; an inbound of which it says nothing stays as it is. */
export function withHealth(dataplane: Resource, health: ReadonlyMap<string, boolean>): Resource {
  const { spec } = asDataplane(dataplane);
  const probes = probesOf(spec) ?? [];
  const isEnvoyWell = health.get(adminCheckName);
  return withInbounds(dataplane, (inbound) => {
    const probe = inbound.serviceProbe && probeAt(probes, applicationAddress(spec, inbound));
    const said = [isEnvoyWell, probe && health.get(probe.name)].filter((one) => one !== undefined);
    return said.length === 0 ? inbound : inState(inbound, said.includes(false) ? "NotReady" : "Ready");
  });
}

/**
 * A proxy brings its Dataplane as it was written. Of a probed inbound that is known already its probe has the last word; of another one the
 * first, if Envoy has just started: its application may come later.
 */
export function withProbedState(brought: Resource, existing: Resource | undefined, hasJustStarted: boolean): Resource {
  const known = existing ? (asDataplane(existing).spec.networking?.inbound ?? []) : [];
  return withInbounds(brought, (inbound) => {
    if (!inbound.serviceProbe) return inbound;
    const same = known.find((one) => one.serviceProbe && one.port === inbound.port && one.address === inbound.address);
    if (same) return inState(inbound, same.state === "NotReady" ? "NotReady" : "Ready");
    return hasJustStarted ? inState(inbound, "NotReady") : inbound;
  });
}

function withInbounds(dataplane: Resource, change: (inbound: Inbound) => Inbound): Resource {
  const { networking = {} } = asDataplane(dataplane).spec;
  const before = networking.inbound ?? [];
  const inbound = before.map(change);
  if (inbound.every((one, i) => one === before[i])) return dataplane;
  return { ...dataplane, spec: { ...dataplane.spec, networking: { ...networking, inbound } } as JsonObject };
}

/** Who is Ignored stays so. */
function inState(inbound: Inbound, state: "Ready" | "NotReady"): Inbound {
  const { state: before = "Ready", health: _, ...rest } = inbound;
  if (before === "Ignored" || before === state) return inbound;
  return state === "Ready" ? { ...rest, health: { ready: true } } : { ...rest, state, health: {} };
}
