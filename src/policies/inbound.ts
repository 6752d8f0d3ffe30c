// What policies say of one inbound (interop 3.3, 3.4): `from` by the tags of the client, `rules` by its identity.

import type { JsonObject } from "#lib/json.ts";
import type { Match } from "#policies/match.ts";
import { by, firstOf } from "#policies/precedence.ts";
import type { ClientMatch, PolicySpec, TargetRef } from "#policies/schema.ts";
import { type Labels, type Resource, tag } from "#resources/resource.ts";

const forSection = <Spec extends PolicySpec>(
  matches: readonly Match<Spec>[],
  section: string,
): readonly Resource<Spec>[] =>
  matches.filter(({ sections }) => sections.includes(section)).map(({ policy }) => policy);

/** What holds for clients that have all these tags. */
export interface FromRule<Conf> {
  readonly tags: Labels;
  readonly conf: Conf;
  readonly policy: Resource<PolicySpec>;
}
interface FromEntry<Conf> {
  readonly targetRef: TargetRef;
  readonly default?: Conf | undefined;
}

type WithFrom<Conf> = Omit<PolicySpec, "from"> & { readonly from?: readonly FromEntry<Conf>[] | undefined };

/** Ascending: of the rules that a client's tags satisfy, later ones override earlier ones. */
export const fromRules = <Conf extends JsonObject>(
  matches: readonly Match<WithFrom<Conf>>[],
  section: string,
): readonly FromRule<Conf>[] =>
  forSection(matches, section).flatMap((policy) =>
    (policy.spec.from ?? []).flatMap((entry) =>
      entry.default ? [{ tags: clientTags(entry.targetRef), conf: entry.default, policy }] : [],
    ),
  );

const clientTags = (ref: TargetRef): Labels => ({
  ...ref.tags,
  ...((ref.kind === "MeshService" || ref.kind === "MeshServiceSubset") && { [tag.service]: ref.name ?? "" }),
});

/** What holds for clients of this identity, or for all. */
export interface InboundRule<Conf> {
  readonly match?: ClientMatch;
  readonly conf: Conf;
  readonly policy: Resource<PolicySpec>;
}
interface RuleEntry<Conf> {
  readonly default?: Conf | undefined;
  readonly matches?: readonly ClientMatch[] | undefined;
}

/** Each match is a rule of its own. The most specific rule comes first; those for all come last, ascending, to be merged.
 * `entriesOf` says which part of a policy is meant: some take `from` as rules for all. */
export function inboundRules<Spec extends PolicySpec, Conf extends JsonObject>(
  matches: readonly Match<Spec>[],
  section: string,
  entriesOf: (spec: Spec) => readonly RuleEntry<Conf>[],
): readonly InboundRule<Conf>[] {
  const rules = forSection(matches, section).flatMap((policy) =>
    entriesOf(policy.spec).flatMap(({ default: conf, matches: clients = [] }): InboundRule<Conf>[] => {
      if (!conf) return [];
      return clients.length === 0 ? [{ conf, policy }] : clients.map((match) => ({ match, conf, policy }));
    }),
  );
  return rules.sort(bySpecificity);
}

const bySpecificity = firstOf<Pick<InboundRule<unknown>, "match">>(
  by(({ match }) => (match?.spiffeID ? 0 : 1)),
  by(({ match }) => (match?.spiffeID?.type === "Prefix" ? 1 : 0)),
  by(({ match }) => (match?.sni ? 0 : 1)),
);
