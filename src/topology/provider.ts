// Who provides a service: instances in this zone, and ingresses of other zones with the number of instances behind them.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ZoneIngress_AvailableServiceJson, ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import { hostPortText } from "#lib/address.ts";
import { label, type Resource, splitKey, tag } from "#resources/resource.ts";
import { type Inbound, inboundAddress, isHealthy } from "#topology/inbound.ts";

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
  /** Name of its resource: several may have one address, that of a load balancer before them. */
  readonly ingress: string;
  readonly address: string;
  readonly port: number;
  /** It takes only what no other zone, nor this one, can: somebody said so, or it is silent (decision 27). */
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

/** Inbounds of a proxy of this zone that are for services. */
export const servedInbounds = ({ networking }: DataplaneJson): readonly Inbound[] =>
  (networking?.inbound ?? []).filter(({ state }) => state !== "Ignored");

/** A new proxy and a refused one get nothing, a doubtful or silent one what no other can take. */
export function instanceOf({ spec }: Resource<DataplaneJson>, inbound: Inbound, mark: Mark | undefined): Instance {
  const own = inboundAddress(spec, inbound);
  return {
    address: spec.networking?.advertisedAddress || own.address,
    port: own.port,
    tags: withoutService(inbound.tags ?? {}),
    isHealthy: isHealthy(inbound) && mark !== "new" && mark !== "refused",
    isMarked: mark !== undefined,
  };
}

/** Of a proxy of this zone, by its tags. */
export function instancesOf(dataplane: Resource<DataplaneJson>, mark: Mark | undefined): Provided {
  const found = new Map<string, Instance[]>();
  for (const inbound of servedInbounds(dataplane.spec)) {
    const service = inbound.tags?.[tag.service];
    if (service === undefined) continue;
    const key = serviceKey(dataplane.mesh, service);
    found.set(key, [...(found.get(key) ?? []), instanceOf(dataplane, inbound, mark)]);
  }
  return found;
}

/** The Dataplane with what took traffic until it changed, and is provided no more; `undefined`: nothing. */
export function departedFrom(
  before: Resource<DataplaneJson>,
  after: Resource<DataplaneJson> | undefined,
): Resource<DataplaneJson> | undefined {
  const placeOf = (dataplane: Resource<DataplaneJson>, inbound: Inbound): string =>
    `${inbound.tags?.[tag.service]} ${hostPortText(instanceOf(dataplane, inbound, undefined))}`;
  const still = new Set(after && servedInbounds(after.spec).map((inbound) => placeOf(after, inbound)));
  const inbound = servedInbounds(before.spec).filter((one) => isHealthy(one) && !still.has(placeOf(before, one)));
  if (inbound.length === 0) return undefined;
  return { ...before, spec: { ...before.spec, networking: { ...before.spec.networking, inbound } } };
}

/** An ingress of another zone, as one instance behind it; `undefined` for one of this zone, or one that isn't public. */
export function publicIngress(
  { name, spec, labels }: Resource<ZoneIngressJson>,
  localZone: string,
): RemoteOffer | undefined {
  const { zone = "", networking = {} } = spec;
  const { advertisedAddress: address = "", advertisedPort: port = 0 } = networking;
  if (zone === "" || zone === localZone || address === "" || port === 0) return undefined;
  const isDrained = labels[label.drainedSince] !== undefined;
  return { zone, ingress: name, address, port, isDrained, entries: [anyInstance] };
}
const anyInstance = { tags: {}, instances: 1 };

/** One whose zone is silent is met as if somebody had drained that (decision 27). */
export const asDrained = (ingress: Resource<ZoneIngressJson>): Resource<ZoneIngressJson> => ({
  ...ingress,
  labels: { [label.drainedSince]: "", ...ingress.labels },
});

/** Service keys of ports that an ingress of another zone leads to. */
export function portsBehind(ingress: Resource<ZoneIngressJson>, localZone: string): ReadonlyMap<string, RemoteOffer> {
  const place = publicIngress(ingress, localZone);
  return new Map(
    (place ? (ingress.spec.availableServices ?? []) : []).flatMap((one) =>
      isPort(one) && place ? [[keyOfOffered(one), { ...place, entries: [entryOf(one)] }]] : [],
    ),
  );
}

/** A port of a service that is a resource has no mesh there, so that Kuma makes nothing of it (decision 30). */
export const portOffered = (key: string, instances: number): ZoneIngress_AvailableServiceJson => ({
  ...{ tags: { [tag.service]: splitServiceKey(key).service }, instances, mesh: "" },
});

/** As `portOffered`, of what is outside the mesh (decision 26). */
export const externalOffered = (key: string): ZoneIngress_AvailableServiceJson => ({
  ...portOffered(key, 1),
  externalService: true,
});

/** What has no service by tag. */
export const isOfResource = ({ mesh = "" }: ZoneIngress_AvailableServiceJson): boolean => mesh === "";
const isPort = (one: ZoneIngress_AvailableServiceJson): boolean => isOfResource(one) && one.externalService !== true;

/** Instead of service keys: of an ingress whose Envoy goes on with what it has, to whatever that leads. */
export const everyService = "*";

/** As `serviceKey`. */
export function keyOfOffered({ mesh = "", tags = {} }: ZoneIngress_AvailableServiceJson): string {
  const { [tag.service]: service = "" } = tags;
  // As `resourceServiceName` has it.
  return serviceKey(mesh || service.split("_", 1).join(), service);
}

const entryOf = ({ tags = {}, instances = 0 }: ZoneIngress_AvailableServiceJson) => ({
  ...{ tags: withoutService(tags), instances },
});

/**
 * Service keys with what an ingress of another zone offers, of proxies or of services outside the mesh; nothing for one of this zone, or one
 * that isn't public.
 */
export function offersOf(
  ingress: Resource<ZoneIngressJson>,
  localZone: string,
  of: "proxies" | "outside" = "proxies",
): Map<string, RemoteOffer> {
  const offers = new Map<string, RemoteOffer>();
  const place = publicIngress(ingress, localZone);
  if (!place) return offers;
  for (const one of ingress.spec.availableServices ?? []) {
    const { tags = {}, instances = 0, externalService = false } = one;
    if (tags[tag.service] === undefined || instances === 0 || externalService !== (of === "outside")) continue;
    if (isPort(one)) continue;
    const [key, entry] = [keyOfOffered(one), entryOf(one)];
    offers.set(key, { ...place, entries: [...(offers.get(key)?.entries ?? []), entry] });
  }
  return offers;
}
