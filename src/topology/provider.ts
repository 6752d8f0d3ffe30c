// Who provides a service: instances in this zone, and ingresses of other zones with the number of instances behind them.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import { hostPortText } from "#lib/address.ts";
import { label, type Resource, splitKey, tag } from "#resources/resource.ts";
import { inboundAddress, isHealthy } from "#topology/inbound.ts";

export type Tags = Readonly<Record<string, string>>;

/** An inbound of a proxy of this zone. */
export interface Instance {
  readonly address: string;
  readonly port: number;
  /** Of the inbound, without the service. */
  readonly tags: Tags;
  /** What is not healthy takes no traffic, but tells what its service speaks. */
  readonly isHealthy: boolean;
  /** Its Envoy does not serve yet: it takes traffic only where there is nobody else. */
  readonly isMarked: boolean;
}

/** Service keys with the instances that a proxy adds to each. */
export type Provided = ReadonlyMap<string, readonly Instance[]>;

/** What one ingress of another zone says it leads to, by set of tags. */
export interface RemoteOffer {
  readonly zone: string;
  readonly address: string;
  readonly port: number;
  /** It takes only what no other zone, nor this one, can. */
  readonly isDrained: boolean;
  readonly entries: readonly { readonly tags: Tags; readonly instances: number }[];
}

/** Services are per mesh. */
export const serviceKey = (mesh: string, service: string): string => `${mesh}/${service}`;
export function splitServiceKey(key: string): { readonly mesh: string; readonly service: string } {
  const { mesh, name: service } = splitKey(key);
  return { mesh, service };
}

export const isSubset = (wanted: Tags, of: Tags): boolean =>
  Object.entries(wanted).every(([key, value]) => of[key] === value);

export const withoutService = (tags: Tags): Tags => {
  const { [tag.service]: _, ...rest } = tags;
  return rest;
};

/**
 * What is known of a proxy: its Envoy has just come and does not serve yet, or it did and may not any more; or no answer comes from it, which may
 * be its machine or the way there (decision 24); or the proxy was connected until its token was refused.
 */
export type Mark = "new" | "doubtful" | "silent" | "refused";

/** Whether other zones are told of it. */
export const isCounted = (mark: Mark | undefined): boolean => mark === undefined || mark === "silent";

/** Of a proxy of this zone. A new one and a refused one get nothing, a doubtful or silent one what no other can take. */
export function instancesOf(dataplane: Resource<DataplaneJson>, mark: Mark | undefined): Provided {
  const found = new Map<string, Instance[]>();
  for (const inbound of dataplane.spec.networking?.inbound ?? []) {
    const service = inbound.tags?.[tag.service];
    if (service === undefined || inbound.state === "Ignored") continue;
    const key = serviceKey(dataplane.mesh, service);
    const own = inboundAddress(dataplane.spec, inbound);
    const address = dataplane.spec.networking?.advertisedAddress || own.address;
    const instance = {
      address,
      port: own.port,
      tags: withoutService(inbound.tags ?? {}),
      isHealthy: isHealthy(inbound) && mark !== "new" && mark !== "refused",
      isMarked: mark !== undefined,
    };
    found.set(key, [...(found.get(key) ?? []), instance]);
  }
  return found;
}

/** What took traffic until a change of its Dataplane, and is provided no more. It takes what no other can. */
export function departedFrom(before: Resource<DataplaneJson>, after: Resource<DataplaneJson> | undefined): Provided {
  const present = after && instancesOf(after, undefined);
  const departed = new Map<string, readonly Instance[]>();
  for (const [service, instances] of instancesOf(before, undefined)) {
    const still = new Set(present?.get(service)?.map(hostPortText));
    const gone = instances.filter((one) => one.isHealthy && !still.has(hostPortText(one)));
    if (gone.length > 0)
      departed.set(
        service,
        gone.map((one) => ({ ...one, isMarked: true })),
      );
  }
  return departed;
}

/** Service keys with what an ingress of another zone offers; nothing for one of this zone, or one that isn't public. */
export function offersOf(ingress: Resource<ZoneIngressJson>, localZone: string): Map<string, RemoteOffer> {
  const { zone = "", networking = {}, availableServices = [] } = ingress.spec;
  const { advertisedAddress: address = "", advertisedPort: port = 0 } = networking;
  const isDrained = ingress.labels[label.drainedSince] !== undefined;
  const offers = new Map<string, RemoteOffer>();
  if (zone === "" || zone === localZone || address === "" || port === 0) return offers;
  for (const { tags = {}, instances = 0, mesh = "", externalService = false } of availableServices) {
    const service = tags[tag.service];
    if (service === undefined || instances === 0 || externalService) continue;
    const key = serviceKey(mesh, service);
    const entry = { tags: withoutService(tags), instances };
    offers.set(key, { zone, address, port, isDrained, entries: [...(offers.get(key)?.entries ?? []), entry] });
  }
  return offers;
}
