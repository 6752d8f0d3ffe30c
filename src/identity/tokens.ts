// What each kind of token says, and what it is checked against (interop 5.1 to 5.3): dataplane tokens for the proxies of a mesh,
// zone tokens for a zone's ingress and egress, user tokens for the HTTP API.

import { z } from "zod";
import { type Issuance, type Refused, refused, signToken, type Verified, verifyToken } from "#identity/jwt.ts";
import type { SigningKey, VerifyingKeys } from "#identity/signing-key.ts";
import { KodiakError } from "#lib/failure.ts";
import { at, type Issue } from "#lib/issue.ts";
import { isDnsName } from "#resources/meta.ts";

const list = (values: Iterable<string>): string => `[${[...values].map((value) => JSON.stringify(value)).join(", ")}]`;
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? "");
const texts = z
  .array(z.string())
  .nullish()
  .transform((values): readonly string[] => values ?? []);

export interface DataplaneClaims {
  /** Empty: any name. */
  readonly name: string;
  /** Empty: the mesh whose key signed it. */
  readonly mesh: string;
  /** Tags that the proxy must have, and the only values they may have. */
  readonly tags: Readonly<Record<string, readonly string[]>>;
  /** One of `dataplaneTypes`. Empty: any. Kuma never compares it. */
  readonly type: string;
  /** Empty: any. */
  readonly workload: string;
}
const dataplaneTypes: readonly string[] = ["", "dataplane", "ingress", "egress"];
const dataplaneShape = z.object({
  name: text,
  mesh: text,
  tags: z
    .record(z.string(), texts)
    .nullish()
    .transform((tags) => tags ?? {}),
  type: text,
  workload: text,
});

/** Throws `invalid` with the paths of the request to `/tokens/dataplane`. */
export function checkDataplaneClaims(claims: DataplaneClaims, issuance: Pick<Issuance, "validForMs">): void {
  const issues = validityIssues(issuance);
  if (claims.mesh === "") issues.push({ path: "mesh", message: "cannot be empty" });
  if (!dataplaneTypes.includes(claims.type))
    issues.push({ path: "type", message: `must be one of ${list(dataplaneTypes.slice(1))}, or empty` });
  refuseIssues("dataplane token", issues);
}

/** Rejects as `checkDataplaneClaims` throws. */
export async function issueDataplaneToken(
  claims: DataplaneClaims,
  key: SigningKey,
  issuance: Issuance,
): Promise<string> {
  checkDataplaneClaims(claims, issuance);
  const { name, mesh, tags, type, workload } = claims;
  return signToken({ Name: name, Mesh: mesh, Tags: tags, Type: type, Workload: workload }, key, issuance);
}

/** The proxy that shows the token. */
export interface TokenBearer {
  readonly mesh: string;
  readonly name: string;
  /** All values of each tag, over all inbounds or of the gateway. */
  readonly tags: Readonly<Record<string, readonly string[]>>;
  /** The label `kuma.io/workload`. */
  readonly workload: string | undefined;
}

/** `keys` are those of the bearer's mesh: the token of another mesh fails by its signature. */
export async function verifyDataplaneToken(
  token: string,
  keys: VerifyingKeys,
  bearer: TokenBearer,
  now: number,
): Promise<Verified<DataplaneClaims>> {
  const verified = await verifyToken(token, keys, now, dataplaneShape);
  if (!verified.ok) return verified;
  const mismatch = dataplaneMismatch(verified.claims, bearer);
  return mismatch ?? verified;
}

function dataplaneMismatch(claims: DataplaneClaims, bearer: TokenBearer): Refused | undefined {
  const { name, mesh, type, workload } = claims;
  if (name !== "" && name !== bearer.name) return refused("name", different("proxy name", bearer.name, name));
  if (mesh !== "" && mesh !== bearer.mesh) return refused("mesh", different("proxy mesh", bearer.mesh, mesh));
  if (type !== "" && type !== "dataplane") return refused("type", different("proxy type", "dataplane", type));
  for (const [tag, allowed] of Object.entries(claims.tags)) {
    const values = Object.hasOwn(bearer.tags, tag) ? (bearer.tags[tag] ?? []) : [];
    if (values.length === 0)
      return refused("tags", `dataplane has no tag ${JSON.stringify(tag)} required by the token`);
    const other = values.find((value) => !allowed.includes(value));
    if (other !== undefined)
      return refused(
        "tags",
        `dataplane contains tag ${JSON.stringify(tag)} with value ${JSON.stringify(other)} which is not allowed with this ` +
          `token. Allowed values in token are ${list(allowed)}, the dataplane has ${list(values)}`,
      );
  }
  if (workload === "" || workload === bearer.workload) return undefined;
  if (bearer.workload === undefined)
    return refused("workload", "dataplane has no workload label required by the token");
  return refused("workload", different("workload", bearer.workload, workload));
}

const zoneScopes = ["ingress", "egress"] as const;
export type ZoneScope = (typeof zoneScopes)[number];
export interface ZoneClaims {
  /** Empty: any zone. */
  readonly zone: string;
  readonly scope: readonly string[];
}
const zoneShape = z.object({ zone: text, scope: texts });

/** Rejects with `invalid` and the paths of the request to `/tokens/zone`. Kuma takes any scope, and none; such a token is good for nothing. */
export async function issueZoneToken(claims: ZoneClaims, key: SigningKey, issuance: Issuance): Promise<string> {
  const issues = validityIssues(issuance);
  if (claims.scope.length === 0)
    issues.push({ path: "scope", message: `must hold one or more of ${list(zoneScopes)}` });
  claims.scope.forEach((scope, i) => {
    if (!zoneScopes.some((known) => known === scope))
      issues.push({ path: at("scope", i), message: `must be one of ${list(zoneScopes)}` });
  });
  refuseIssues("zone token", issues);
  return signToken({ Zone: claims.zone, Scope: claims.scope }, key, issuance);
}

/** `zone`: the control plane's own. */
export async function verifyZoneToken(
  token: string,
  keys: VerifyingKeys,
  bearer: { readonly zone: string; readonly scope: ZoneScope },
  now: number,
): Promise<Verified<ZoneClaims>> {
  const verified = await verifyToken(token, keys, now, zoneShape);
  if (!verified.ok) return verified;
  const { zone, scope } = verified.claims;
  if (!scope.includes(bearer.scope))
    return refused(
      "scope",
      `token cannot be used to authenticate zone entity (${bearer.scope} is out of token's scope: [${scope.join(" ")}])`,
    );
  if (zone !== "" && zone !== bearer.zone) return refused("zone", different("zone", bearer.zone, zone));
  return verified;
}

/** With which a zone comes for its first certificate; no token of Kuma's. */
export interface JoinClaims {
  readonly zone: string;
}
const joinShape = z.object({ zone: z.string(), jti: z.string() });

/** Rejects with `invalid` and the paths of the request to `/tokens/join`. */
export async function issueJoinToken({ zone }: JoinClaims, key: SigningKey, issuance: Issuance): Promise<string> {
  const issues = validityIssues(issuance);
  if (!isDnsName(zone)) issues.push({ path: "zone", message: "must be the name of a zone: a DNS name, like zone-a" });
  refuseIssues("join token", issues);
  return signToken({ Zone: zone }, key, issuance);
}

export const verifyJoinToken = (
  token: string,
  keys: VerifyingKeys,
  now: number,
): Promise<Verified<JoinClaims & { readonly jti: string }>> => verifyToken(token, keys, now, joinShape);

export interface UserClaims {
  readonly name: string;
  readonly groups: readonly string[];
}
/** A user by a token that is valid. */
export interface TokenUser extends UserClaims {
  readonly tokenId?: string;
  /** Milliseconds since the epoch; absent: it does not end. */
  readonly expiresMs?: number;
}
const userShape = z
  .object({ name: text, groups: texts, jti: z.string().nullish(), exp: z.number().nullish() })
  .transform(
    ({ name, groups, jti, exp }): TokenUser => ({
      name,
      groups,
      ...(typeof jti === "string" && { tokenId: jti }),
      ...(typeof exp === "number" && { expiresMs: exp * 1000 }),
    }),
  );

/** Rejects with `invalid` and the paths of the request to `/tokens/user`. */
export async function issueUserToken(claims: UserClaims, key: SigningKey, issuance: Issuance): Promise<string> {
  const issues = validityIssues(issuance);
  if (claims.name === "") issues.push({ path: "name", message: "cannot be empty" });
  refuseIssues("user token", issues);
  return signToken({ Name: claims.name, Groups: claims.groups }, key, issuance);
}

export const verifyUserToken = (token: string, keys: VerifyingKeys, now: number): Promise<Verified<TokenUser>> =>
  verifyToken(token, keys, now, userShape);

const different = (what: string, ofBearer: string, inToken: string): string =>
  `${what} from requestor: ${ofBearer} is different than in token: ${inToken}`;

const validityIssues = ({ validForMs }: Pick<Issuance, "validForMs">): Issue[] =>
  validForMs >= 1000 ? [] : [{ path: "validFor", message: "must be a second or more, like 24h" }];

function refuseIssues(what: string, issues: readonly Issue[]): void {
  if (issues.length > 0) throw new KodiakError({ kind: "invalid", what, issues });
}
