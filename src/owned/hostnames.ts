// Which names services that are resources have, by the HostnameGenerators of this zone and of global (interop 8.2.1), and with their
// addresses their status. Each zone says so for itself: a status does not travel down.
//
//   generators ─┐
//   services ───┴─► claims ─► winners, by name ─► status

import type { ConfigJson } from "#gen/kuma/system/v1alpha1/config_pb.ts";
import type { Collection, Graph, Group, Read } from "#incremental/collection.ts";
import { isEqual, type JsonObject } from "#lib/json.ts";
import { vipKeyOf } from "#owned/names.ts";
import { type HostnameGenerator, hostnameGeneratorIn } from "#policies/hostname-generator.ts";
import { type Hostname, hostnameOf } from "#resources/hostname-template.ts";
import { keyOf, type Labels, label, type Resource, splitKey } from "#resources/resource.ts";
import { meshOfTable, resourceRangeOf, tableIn } from "#topology/vips.ts";

export const namedKinds = {
  MeshService: "meshService",
  MeshExternalService: "meshExternalService",
  MeshMultiZoneService: "meshMultiZoneService",
} as const;
export type NamedKind = keyof typeof namedKinds;

type Of = <Spec>(kind: string) => Collection<Resource<Spec>>;

interface Generator {
  readonly name: string;
  /** A zone's own go first, then the older, then by name. */
  readonly order: string;
  readonly spec: HostnameGenerator;
}

/** What a generator makes of a service. */
interface Claim {
  readonly generator: string;
  readonly order: string;
  readonly made: Hostname;
}

/** Services with their status, where it is not yet as it should be: to be put, never deleted. */
export function hostnames(graph: Graph, of: Of, zone: string): readonly Collection<Resource>[] {
  const generators = graph.derive(
    "hostname generators",
    of<JsonObject>("HostnameGenerator"),
    (resource): Generator | undefined => {
      const spec = hostnameGeneratorIn(resource);
      const isOwn = resource.labels[label.origin] === "zone" ? 0 : 1;
      return spec && { name: resource.name, order: `${isOwn} ${resource.creationTime} ${resource.name}`, spec };
    },
  );
  const together = graph.group("generators of names", generators, (one) => [[here, one]]);
  const sorted = graph.derive("generators of names in order", together, (group) =>
    [...group.values()].sort((a, b) => (a.order < b.order ? -1 : 1)),
  );
  const addresses = graph.group("addresses of resources", of<ConfigJson>("Config"), ({ name, spec }) =>
    meshOfTable(name) === undefined ? [] : addressesIn(spec.config),
  );
  const all = (read: Read): readonly Generator[] => read.one(sorted, here) ?? [];
  const addressOf = (read: Read, resource: Resource): string | undefined =>
    read.one(addresses, vipKeyOf(resource))?.values().next().value;
  return (Object.keys(namedKinds) as readonly NamedKind[]).map((kind) => {
    const services = of(kind) as Collection<Resource>;
    const claims = graph.derive(`names claimed by ${kind}`, services, (service, read) =>
      claimsOf(kind, service, all(read), zone),
    );
    const claimants = graph.group(`claimants of names of ${kind}`, claims, (own, key) =>
      // Of a service's own the first counts.
      own
        .toReversed()
        .flatMap(({ order, made }) => ("hostname" in made ? [[nameKey(key, made.hostname), order] as const] : [])),
    );
    const winners = graph.derive(`winners of names of ${kind}`, claimants, (group) => firstOf(group));
    return graph.derive(`${kind} with names`, services, (service, read, key): Resource | undefined => {
      const own = read.one(claims, key) ?? [];
      const isWon = ({ order, made }: Claim): boolean =>
        "hostname" in made && read.one(winners, nameKey(key, made.hostname)) === order;
      const ip = addressOf(read, service);
      const status = statusWith(kind, service.status, own, isWon, ip);
      return isEqual(status, service.status ?? {}) ? undefined : { ...service, status };
    });
  });
}

const here = "here";
/** Within a kind and a mesh a name is one service's. */
const nameKey = (service: string, hostname: string): string => keyOf({ mesh: splitKey(service).mesh, name: hostname });

const firstOf = (orders: Group<string>): string | undefined => [...orders.values()].sort()[0];

function addressesIn(config: string | undefined): readonly (readonly [string, string])[] {
  return [...tableIn(config)].flatMap(([key, { address, freedAt }]) =>
    resourceRangeOf(key) !== undefined && freedAt === undefined ? [[key, address] as const] : [],
  );
}

function claimsOf(
  kind: NamedKind,
  service: Resource,
  generators: readonly Generator[],
  zone: string,
): readonly Claim[] {
  return generators.flatMap(({ name, order, spec }) => {
    const wanted = spec.selector?.[namedKinds[kind]];
    if (!wanted || !hasLabels(service.labels, wanted.matchLabels ?? {})) return [];
    const ownOrder = `${order} ${service.creationTime} ${service.name}`;
    return [{ generator: name, order: ownOrder, made: hostnameOf(spec.template, service, zone) }];
  });
}

const hasLabels = (labels: Labels, wanted: Labels): boolean =>
  Object.entries(wanted).every(([key, value]) => labels[key] === value);

/** What else the status says stays. */
function statusWith(
  kind: NamedKind,
  before: JsonObject | undefined,
  claims: readonly Claim[],
  isWon: (claim: Claim) => boolean,
  ip: string | undefined,
): JsonObject {
  const { addresses: _, hostnameGenerators: __, vip, vips, ...rest } = before ?? {};
  const refOf = ({ generator }: Claim): JsonObject => ({ hostnameGeneratorRef: { coreName: generator } });
  const addresses = claims.flatMap((claim): readonly JsonObject[] =>
    isWon(claim) && "hostname" in claim.made
      ? [{ hostname: claim.made.hostname, origin: "HostnameGenerator", ...refOf(claim) }]
      : [],
  );
  const generators = claims.map((claim) => ({ ...refOf(claim), conditions: [conditionOf(claim, isWon(claim))] }));
  // An address that is not known yet again, after a restart, is what it was.
  const own =
    kind === "MeshExternalService"
      ? { vip: ip === undefined ? vip : { ip } }
      : { vips: ip === undefined ? vips : [{ ip }] };
  const [said] = Object.values(own);
  return {
    ...rest,
    ...(said !== undefined && own),
    ...(addresses.length > 0 && { addresses }),
    ...(generators.length > 0 && { hostnameGenerators: generators }),
  };
}

function conditionOf({ made }: Claim, isWon: boolean): JsonObject {
  const condition = (status: "True" | "False", reason: string, message: string): JsonObject => ({
    ...{ type: "Generated", status, reason, message },
  });
  if ("error" in made) return condition("False", "TemplateError", made.error);
  if (!isWon) return condition("False", "Collision", `${made.hostname} is the name of another service of this kind`);
  return condition("True", "Generated", "");
}
