// Resources as Envoy can be told of them: with IP addresses where names of hosts were written (decision 28).

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { ZoneEgressJson } from "#gen/kuma/mesh/v1alpha1/zoneegress_pb.ts";
import type { Collection, Graph, Read } from "#incremental/collection.ts";
import { isIp } from "#resources/address.ts";
import type { Resource } from "#resources/resource.ts";

export interface HostNamesInput {
  readonly zone: string;
  of<Spec>(kind: string): Collection<Resource<Spec>>;
  readonly departed: Collection<Resource<DataplaneJson>>;
  /** By name of a host; absent: not known. */
  readonly addresses: Collection<readonly string[]>;
}

export interface AtAddresses {
  /** As `of`; what is at an address that is not known is not there. An ingress of another zone is there once for each of its addresses. */
  of<Spec>(kind: string): Collection<Resource<Spec>>;
  readonly departed: Collection<Resource<DataplaneJson>>;
  /** By name of a host, each that has an entry in one of them is to be looked up. */
  readonly wanted: readonly Collection<unknown>[];
}

type Field = "address" | "advertisedAddress";
interface Reached {
  readonly networking?: { readonly [F in Field]?: string };
}
type Lookup = (name: string) => readonly string[];

export function atAddresses(graph: Graph, { zone, of, departed, addresses }: HostNamesInput): AtAddresses {
  const lookup =
    (read: Read): Lookup =>
    (name) =>
      read.one(addresses, name) ?? [];
  const wantedBy = <S extends Reached>(input: Collection<Resource<S>>) =>
    graph.group(`names of hosts in ${input.name}`, input, (one) =>
      fieldsOf(one, zone).map((field) => [one.spec.networking?.[field] ?? "", true as const]),
    );
  const met = <S extends Reached>(input: Collection<Resource<S>>): Collection<Resource<S>> =>
    graph.derive(`${input.name} at addresses`, input, (one, read) => atFirst(one, fieldsOf(one, zone), lookup(read)));

  const [dataplanes, egresses] = [of<DataplaneJson>("Dataplane"), of<ZoneEgressJson>("ZoneEgress")];
  const ingresses = of<ZoneIngressJson>("ZoneIngress");
  const everywhere = graph.derive("ingresses at all addresses", ingresses, (one, read) => {
    if (isElsewhere(one, zone)) return atAll(one, fieldsOf(one, zone), lookup(read));
    const met = atFirst(one, fieldsOf(one, zone), lookup(read));
    return met && [met];
  });
  const byName = graph.group("ingresses by address", everywhere, (all) => all.map((one) => [one.name, one] as const));
  const collections: Readonly<Record<string, Collection<unknown>>> = {
    Dataplane: met(dataplanes),
    ZoneEgress: met(egresses),
    ZoneIngress: graph.derive("ingresses at addresses", byName, (group) => group.values().next().value),
  };
  return {
    // The kind says what the spec is.
    of: <S>(kind: string) => (collections[kind] ?? of<S>(kind)) as Collection<Resource<S>>,
    departed: met(departed),
    wanted: [wantedBy(dataplanes), wantedBy(departed), wantedBy(egresses), wantedBy(ingresses)],
  };
}

const isElsewhere = ({ kind, spec }: Resource<Reached & { readonly zone?: string }>, zone: string): boolean =>
  kind === "ZoneIngress" && (spec.zone || zone) !== zone;

/** Where names are that this zone needs: of its ingresses where they listen, of others' where these are met. */
function fieldsOf(one: Resource<Reached>, zone: string): readonly Field[] {
  const ofIngress: Field = isElsewhere(one, zone) ? "advertisedAddress" : "address";
  const all: readonly Field[] = one.kind === "ZoneIngress" ? [ofIngress] : ["address", "advertisedAddress"];
  return all.filter((field) => {
    const at = one.spec.networking?.[field] ?? "";
    return at !== "" && !isIp(at);
  });
}

const withAddress = <S extends Reached>(one: Resource<S>, field: Field, address: string): Resource<S> => ({
  ...one,
  spec: { ...one.spec, networking: { ...one.spec.networking, [field]: address } },
});

function atFirst<S extends Reached>(
  one: Resource<S>,
  fields: readonly Field[],
  lookup: Lookup,
): Resource<S> | undefined {
  return fields.reduce<Resource<S> | undefined>((met, field) => {
    const [address] = lookup(met?.spec.networking?.[field] ?? "");
    return met && address !== undefined ? withAddress(met, field, address) : undefined;
  }, one);
}

/** Once for each address, by a name of its own. */
const atAll = <S extends Reached>(
  one: Resource<S>,
  fields: readonly Field[],
  lookup: Lookup,
): readonly Resource<S>[] =>
  fields.length === 0
    ? [one]
    : fields.flatMap((field) =>
        lookup(one.spec.networking?.[field] ?? "").map((address) => ({
          ...withAddress(one, field, address),
          name: `${one.name}@${address}`,
        })),
      );
