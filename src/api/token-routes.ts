// `POST /tokens/…` (interop 5.3): the administrator has a token issued for a data plane proxy, a zone proxy, a zone that joins or a user. The
// answer is the bare token. What a token may say is the issuer's to check; here a body becomes a request.

import { z } from "zod";
import { invalid, Problem } from "#api/problem.ts";
import type { Answer, Call, Route } from "#api/router.ts";
import { parseGoDuration } from "#lib/duration.ts";
import { KodiakError } from "#lib/failure.ts";
import { isEqual, type JsonObject, parseJson } from "#lib/json.ts";

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? "");
const texts = z
  .array(z.string())
  .nullish()
  .transform((values): readonly string[] => values ?? []);

const dataplaneBody = z.object({
  name: text,
  mesh: text,
  tags: z
    .record(z.string(), texts)
    .nullish()
    .transform((tags) => tags ?? {}),
  type: text,
  workload: text,
  validFor: text,
});
const zoneBody = z.object({ zone: text, scope: texts, validFor: text });
const joinBody = z.object({ zone: text, validFor: text });
const userBody = z.object({ name: text, groups: texts, validFor: text });

type Request<Body> = Omit<Body, "validFor"> & { readonly validForMs: number };
export type DataplaneTokenRequest = Request<z.infer<typeof dataplaneBody>>;
export type ZoneTokenRequest = Request<z.infer<typeof zoneBody>>;
export type JoinTokenRequest = Request<z.infer<typeof joinBody>>;
export type UserTokenRequest = Request<z.infer<typeof userBody>>;

/** Signs tokens. Rejects with `invalid` (paths of the request) or `not-found` (there is no signing key). */
export interface TokenIssuer {
  readonly dataplane: (request: DataplaneTokenRequest) => Promise<string>;
  readonly zone: (request: ZoneTokenRequest) => Promise<string>;
  readonly join: (request: JoinTokenRequest) => Promise<string>;
  readonly user: (request: UserTokenRequest) => Promise<string>;
  /** What names a token afterwards, without being one. */
  readonly stated: (token: string) => { readonly id: string; readonly expires: string };
}

const hourMs = 3_600_000;
const tenYearsMs = 10 * 365 * 24 * hourMs;

export const tokenRoutes = (issuer: TokenIssuer): Route[] => [
  tokenRoute("dataplane", dataplaneBody, tenYearsMs, issuer.dataplane, issuer.stated),
  tokenRoute("zone", zoneBody, tenYearsMs, issuer.zone, issuer.stated),
  tokenRoute("join", joinBody, hourMs, issuer.join, issuer.stated),
  tokenRoute("user", userBody, undefined, issuer.user, issuer.stated),
];

function tokenRoute<Body extends { readonly validFor: string }>(
  what: "dataplane" | "zone" | "join" | "user",
  schema: z.ZodType<Body>,
  defaultMs: number | undefined,
  issue: (request: Request<Body>) => Promise<string>,
  stated: TokenIssuer["stated"],
): Route {
  // Who lets a zone in lets it read what all zones are sent: that is the administrator's.
  const right = what === "join" ? undefined : (`${what}-tokens` as const);
  const answer = async ({ body: text, rights, record }: Call): Promise<Answer> => {
    const body = schema.safeParse(jsonIn(text));
    // Kuma answers what is no JSON of this form without a body.
    if (!body.success) return { status: 400, text: "" };
    const { validFor, ...request } = body.data;
    const { mesh, groups, name } = grantIn(body.data);
    if (right) rights.require(right, mesh, `generate ${what} token`);
    const ms = validForMs(validFor, defaultMs);
    const token = await issued(() => issue({ ...request, validForMs: ms }));
    const { id, expires } = stated(token);
    if (what === "user") rights.requireGrant({ name, groups, expiresMs: Date.parse(expires) });
    await record.accepted([{ verb: "issue", what: { token: what, id, expires, ...claimsIn(request) } }]);
    return { text: token };
  };
  return {
    path: `/tokens/${what}`,
    access: right ? { right, what: `generate ${what} token` } : { admin: `generate ${what} token` },
    methods: { POST: answer },
  };
}

/** What of a request is a question of rights. */
function grantIn(request: object) {
  const { mesh = "", groups = [], name = "" }: Partial<DataplaneTokenRequest & UserTokenRequest> = request;
  return { mesh, groups, name };
}

/** Those that say something. */
const claimsIn = (request: object): JsonObject =>
  Object.fromEntries(Object.entries(request).filter(([, value]) => value !== "" && !isEqual(value, {})));

function jsonIn(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

function validForMs(text: string, missing: number | undefined): number {
  const refuse = (message: string): Problem => invalid("Invalid request", [{ path: "validFor", message }]);
  if (text === "" && missing === undefined) throw refuse("cannot be empty");
  const ms = text === "" ? missing : parseGoDuration(text);
  if (ms === undefined) throw refuse(`is invalid: must be a duration, like 24h, not ${JSON.stringify(text)}`);
  return ms;
}

async function issued(issue: () => Promise<string>): Promise<string> {
  try {
    return await issue();
  } catch (error) {
    if (!(error instanceof KodiakError)) throw error;
    if (error.failure.kind === "invalid") throw invalid("Invalid request", error.failure.issues);
    if (error.failure.kind === "not-found") throw new Problem(404, "Signing Key not found", error.message);
    throw error;
  }
}
