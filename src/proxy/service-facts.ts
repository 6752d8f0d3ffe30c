// What MeshServices and MeshMultiZoneServices say of their ports (interop 3.5, 7.5).

import { resourceSni, serviceIdentity } from "#envoy/tls.ts";
import { meshMultiZoneServiceIn } from "#policies/mesh-multi-zone-service.ts";
import { meshServiceIn } from "#policies/mesh-service.ts";
import { identityOf } from "#policies/reference.ts";
import { label, type Resource } from "#resources/resource.ts";
import { resourceServiceName, type ServiceResource } from "#topology/mesh-service.ts";
import { serviceKey } from "#topology/provider.ts";

/** What clients must know of a port. */
export interface PortFacts {
  readonly protocol: string;
  /** The zone that provides it, if that is not this one. */
  readonly zones: readonly string[];
  readonly resource: ServiceResource;
}

export const keyOfPort = (service: Resource, port: number): string =>
  serviceKey(service.mesh, resourceServiceName(service, port));

/** One that came from global is another zone's (interop 3.5). */
export const isOfOtherZone = ({ labels }: Pick<Resource, "labels">): boolean => labels[label.origin] === "global";

const sectionIn = ({ name, port }: { readonly name?: string | undefined; readonly port: number }): string =>
  name || String(port);

const identitiesIn = (service: Resource): readonly string[] =>
  (meshServiceIn(service)?.identities ?? []).map(({ type, value }) =>
    type === "ServiceTag" ? serviceIdentity(service.mesh, value) : value,
  );

export function factsOfService(service: Resource): ReadonlyMap<string, PortFacts> {
  const { mesh, labels } = service;
  const identities = [...new Set(identitiesIn(service))].sort();
  const identity = identityOf(service);
  const name = identity.namespace === "" ? identity.name : `${identity.name}.${identity.namespace}`;
  const zones = isOfOtherZone(service) ? [labels[label.zone] ?? ""] : [];
  return new Map(
    (meshServiceIn(service)?.ports ?? []).map((one) => {
      const { port, appProtocol: protocol = "tcp" } = one;
      const sni = resourceSni("ms", { mesh, name, port });
      const resource = { kind: "MeshService", ...identity, section: sectionIn(one), sni, identities } as const;
      return [keyOfPort(service, port), { protocol, zones, resource }];
    }),
  );
}

/** A MeshService in one of all zones. */
export interface Member {
  readonly port: number;
  /** Absent: this one. */
  readonly zone?: string;
  readonly identities: readonly string[];
}

export interface MultiZonePort {
  readonly port: number;
  /** As `keyOfPort`. */
  readonly key: string;
}

export const multiZonePorts = (resource: Resource): readonly MultiZonePort[] | undefined =>
  meshMultiZoneServiceIn(resource)?.ports.map(({ port }) => ({ port, key: keyOfPort(resource, port) }));

/** By key of the port of all zones, of `all` that select the service. A port is a part of the one with its number. */
export function membershipsOf(service: Resource, all: readonly MultiZonePort[]): ReadonlyMap<string, Member> {
  const own = new Set(meshServiceIn(service)?.ports?.map(({ port }) => port));
  const identities = identitiesIn(service);
  const zone = isOfOtherZone(service) ? service.labels[label.zone] : undefined;
  return new Map(
    all
      .filter(({ port }) => own.has(port))
      .map(({ port, key }) => [key, { port, ...(zone !== undefined && { zone }), identities }]),
  );
}

export function factsOfMultiZone(
  resource: Resource,
  membersAt: (key: string) => readonly Member[],
): ReadonlyMap<string, PortFacts> {
  const { mesh } = resource;
  const identity = identityOf(resource);
  return new Map(
    (meshMultiZoneServiceIn(resource)?.ports ?? []).map((one) => {
      const { port, appProtocol: protocol = "tcp" } = one;
      const key = keyOfPort(resource, port);
      const members = membersAt(key);
      const identities = [...new Set(members.flatMap((member) => member.identities))].sort();
      const sni = resourceSni("mzms", { mesh, name: identity.name, port });
      return [
        key,
        {
          protocol,
          zones: [...new Set(members.flatMap((member) => member.zone ?? []))].sort(),
          resource: { kind: "MeshMultiZoneService", ...identity, section: sectionIn(one), sni, identities },
        },
      ];
    }),
  );
}
