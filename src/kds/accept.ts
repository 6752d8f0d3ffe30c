// What a receiver does with what arrives (interop 4.6.3, 4.6.4): whose the stored resources are, what is changed on arrival,
// the edits that make the store say what the sender says, and what waits instead (decision 6). An equal resource makes no edit,
// so a reconnect writes nothing.

import { isMessage, type Message } from "@bufbuild/protobuf";
import type { Held, Standing, Why } from "#discovery/link.ts";
import type { Apply } from "#discovery/receiver.ts";
import { ZoneIngressSchema } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import { ZoneEgressSchema } from "#gen/kuma/mesh/v1alpha1/zoneegress_pb.ts";
import { idOfWireName, wireNameOf } from "#kds/name.ts";
import type { Issue } from "#lib/issue.ts";
import type { Kind } from "#resources/kind.ts";
import { label, type Resource } from "#resources/resource.ts";
import { isSameContent } from "#resources/rest.ts";
import type { ResourceEdit, Store } from "#resources/store.ts";
import { zoneClaims } from "#resources/zone-claims.ts";

/** One side's rules for what a peer sends. */
export interface Side {
  /** Whether a stored resource is the peer's to change and delete. */
  owns(kind: Kind, stored: Resource): boolean;
  /** Why the sender may not write this: it says that it is somebody else's. */
  foreign(resource: Resource): readonly Issue[];
  /** The resource as it is stored; `undefined`: acknowledged and left out. */
  arrived(kind: Kind, resource: Resource): Resource | undefined;
  /** Changes the spec of a legacy kind on arrival. */
  amend(spec: Message): void;
  /** Whether a status is the sender's to say; if not, each receiver computes its own. */
  readonly takesStatus: boolean;
}

/** Global's: a zone writes what is its own. What does not say whose it is gets the zone's name; what says another's is refused. */
export const fromZone = (zone: string): Side => ({
  owns: (_, { labels, name }) => {
    // Kuma once said it in the name.
    const isUnsaid = labels[label.zone] === undefined && labels[label.origin] !== "global";
    return labels[label.zone] === zone || (isUnsaid && name.startsWith(`${zone}.`));
  },
  foreign: (resource) =>
    zoneClaims(resource)
      .filter((claim) => claim.zone !== zone)
      .map(({ path, zone: other }) => ({ path, message: `names zone "${other}", but zone "${zone}" sent it` })),
  arrived: (_, resource) => ({
    ...resource,
    labels: { ...resource.labels, [label.zone]: zone, [label.origin]: "zone" },
  }),
  amend: (spec) => stampZone(spec, zone),
  takesStatus: true,
});

/** A zone's: kinds that only global makes are global's altogether; of the others only what says that it is global's. */
export const fromGlobal: Side = {
  owns: isGlobals,
  foreign: () => [],
  arrived: (kind, resource) => (isGlobals(kind, resource) ? resource : undefined),
  amend: () => {},
  takesStatus: false,
};

function isGlobals(kind: Kind, { labels }: Resource): boolean {
  return !kind.sync.writtenOnZone || labels[label.origin] === "global";
}

function stampZone(spec: Message, zone: string): void {
  if ((isMessage(spec, ZoneIngressSchema) || isMessage(spec, ZoneEgressSchema)) && spec.zone === "") spec.zone = zone;
}

export interface Outcome {
  readonly edits: readonly ResourceEdit[];
  /** Names that could not be stored, as something of somebody else's has them, with a sentence. */
  readonly conflicts: ReadonlyMap<string, string>;
  /** Names that are now as the sender has them. */
  readonly settled: ReadonlySet<string>;
  readonly held: readonly Held[];
  /** Names that it would remove, and that are somebody else's: left as they are. */
  readonly foreign: readonly string[];
}

type Read = Pick<Store, "get" | "list">;

/** Each edit holds only as long as the store is as it was seen here. */
export function outcomeOf(
  kind: Kind,
  apply: Apply<Resource>,
  side: Side,
  store: Read,
  standing: Standing = "known",
): Outcome {
  const edits: ResourceEdit[] = [];
  const conflicts = new Map<string, string>();
  const settled = new Set<string>();
  const held: Held[] = [];
  // A name that comes twice counts once, or the store would see two edits that exclude each other.
  const byName = new Map(apply.upsert.map(({ resource }) => [wireNameOf(resource), resource]));
  for (const [name, resource] of byName) {
    const arrived = side.arrived(kind, resource);
    if (!arrived) continue;
    const stored = store.get(arrived);
    if (stored && !side.owns(kind, stored)) {
      conflicts.set(name, conflictText(arrived));
      continue;
    }
    settled.add(name);
    if (!stored) edits.push({ kind: "put", resource: arrived, expected: "absent" });
    else {
      const { status } = side.takesStatus ? arrived : stored;
      const { status: _, ...rest } = arrived;
      const after: Resource = { ...rest, ...(status && { status }) };
      if (isSameContent(stored, after)) continue;
      // What this sender brought itself it may change.
      const isForeign = stored.sent?.opening !== arrived.sent?.opening;
      if (isForeign && replacesTrust(kind, standing))
        held.push({ kind: kind.name, name, what: "change", why: standing });
      else edits.push({ kind: "put", resource: after, expected: unchanged(stored) });
    }
  }
  const remove = (stored: Resource): void => {
    settled.add(wireNameOf(stored));
    const id = { kind: kind.name, mesh: stored.mesh, name: stored.name };
    edits.push({ kind: "delete", id, expected: unchanged(stored) });
  };
  const owned = (name: string): readonly Resource[] => {
    const stored = store.get(idOfWireName(kind, name));
    return stored && side.owns(kind, stored) ? [stored] : [];
  };
  const foreign: string[] = [];
  for (const name of apply.remove) {
    const stored = store.get(idOfWireName(kind, name));
    if (!stored) continue;
    if (side.owns(kind, stored)) remove(stored);
    else foreign.push(name);
  }
  const why = whyAbsent(kind, apply, standing);
  const absent = apply.absent === "rest" ? rest(kind, apply, side, store) : apply.absent.flatMap(owned);
  for (const stored of absent) {
    if (why === "gone") remove(stored);
    else held.push({ kind: kind.name, name: wireNameOf(stored), what: "removal", why });
  }
  return { edits, conflicts, settled, held, foreign };
}

/** What a stock peer lacks: all that is its, and not in its list. */
function rest(kind: Kind, { upsert, skipped }: Apply<Resource>, side: Side, store: Read): readonly Resource[] {
  const named = new Set([...upsert.map(({ resource }) => wireNameOf(resource)), ...skipped]);
  return store.list(kind.name).filter((stored) => side.owns(kind, stored) && !named.has(wireNameOf(stored)));
}

/** A Kodiak would have said that it is gone; a stock peer can't. */
function whyAbsent(kind: Kind, { absent }: Apply<Resource>, standing: Standing): Why | "gone" {
  if (absent !== "rest") return standing === "known" ? "unremembered" : standing;
  if (broughtByProxies.has(kind.name) && (standing === "known" || standing === "nameless")) return "returning";
  return standing === "known" ? "gone" : standing;
}

const broughtByProxies: ReadonlySet<string> = new Set(
  ["Dataplane", "ZoneIngress", "ZoneEgress"].flatMap((kind) => [kind, `${kind}Insight`]),
);

/** Keys, and who must show which: from a store that is not the known one they would lock everybody out, or end mTLS. */
const carriesTrust: ReadonlySet<string> = new Set([
  "Mesh",
  "Secret",
  "GlobalSecret",
  "Config",
  "MeshIdentity",
  "MeshTrust",
]);

const replacesTrust = (kind: Kind, standing: Standing): standing is Exclude<Standing, "known" | "nameless"> =>
  carriesTrust.has(kind.name) && standing !== "known" && standing !== "nameless";

const unchanged = ({ modificationTime }: Resource): { readonly modificationTime: string } => ({ modificationTime });

/** As Kuma says it; the first word tells its operators that a user can mend it. */
const conflictText = ({ kind, name, mesh }: Resource): string =>
  `user error\nresource already exists: type="${kind}" name="${name}"${mesh === "" ? "" : ` mesh="${mesh}"`}`;
