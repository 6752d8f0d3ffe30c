// The weight of each endpoint of a service, so that a zone with twice the instances gets twice the traffic.

import type { HostPort } from "#lib/address.ts";

/** Where a zone is reached. */
export interface RemoteAddress extends HostPort {
  /** Behind the egresses of this zone, and no address of a network: which way of theirs leads there. */
  readonly way?: string;
}

/** A zone that offers a service: its distinct ingress addresses and the instances behind them. */
export interface RemoteZone {
  readonly zone: string;
  readonly addresses: readonly RemoteAddress[];
  readonly instances: number;
  readonly isDrained: boolean;
}

export interface Weights {
  /** Of each local instance. */
  readonly local: number;
  /** Of each ingress address of a zone. */
  readonly remote: ReadonlyMap<string, number>;
}

// Envoy sums the weights of a locality in 32 bits.
const maxTotal = 2 ** 32 - 1;

/**
 * A local instance weighs L, each ingress address of zone z weighs n_z · L / k_z, where k_z is the number of ingress
 * addresses of z, n_z its instances and L the least common multiple of all k_z.
 */
export function weightsOf(localInstances: number, zones: readonly RemoteZone[]): Weights {
  const serving = zones.filter((zone) => zone.instances > 0 && zone.addresses.length > 0);
  const unit = serving.reduce((lcm, zone) => leastCommonMultiple(lcm, zone.addresses.length), 1);
  const total = serving.reduce((sum, zone) => sum + zone.instances * unit, localInstances * unit);
  const scale = Math.min(1, maxTotal / 2 / total);
  const weight = (value: number): number => Math.max(1, Math.round(value * scale));
  return {
    local: weight(unit),
    remote: new Map(serving.map((zone) => [zone.zone, weight((zone.instances * unit) / zone.addresses.length)])),
  };
}

const leastCommonMultiple = (a: number, b: number): number => (a / greatestCommonDivisor(a, b)) * b;
const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b));
