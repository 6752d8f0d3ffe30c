// Who is who and what each may do, and the endpoints of tokens, as a stock control plane answered (`test/recorded/api/auth-and-tokens.jsonl`):
// the same status, media type and form; claims of tokens, and what `/who-am-i` says, to the letter. What differs on purpose is listed with its reason.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { type Reply, serve } from "#api/api.fixture.ts";
import { secretResource } from "#identity/secret.ts";
import {
  createSigningKey,
  dataplaneTokenKeys,
  type KeyPlace,
  latestSigningKey,
  type SigningKey,
  signingKeyId,
  userTokenKeys,
  zoneTokenKeys,
} from "#identity/signing-key.ts";
import { tokenIssuer } from "#identity/token-issuer.ts";
import { issueDataplaneToken, issueUserToken } from "#identity/tokens.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import { memoryStore } from "#store/memory.ts";

interface Exchange {
  readonly cp: "global" | "zone-1";
  readonly note: string;
  readonly method: string;
  readonly path: string;
  readonly query?: string;
  readonly reqHeaders: Readonly<Record<string, string>>;
  readonly reqBody?: JsonObject;
  readonly status: number;
  readonly resHeaders: Readonly<Record<string, string>>;
  /** `…`: left out. */
  readonly resBody?: JsonObject | string;
}

const file = new URL("../../test/recorded/api/auth-and-tokens.jsonl", import.meta.url);
const exchanges: readonly Exchange[] = readFileSync(file, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

/** Kuma lets everybody do most things, and has a GUI; here rights are given (decision 13). */
const others: readonly { readonly why: string; readonly status: number; is(one: Exchange): boolean }[] = [
  {
    why: "what somebody may not delete is not said to be missing",
    status: 403,
    is: ({ method, path, status }) => method === "DELETE" && path.endsWith("/secrets/au") && status === 404,
  },
  {
    why: "reading, and the settings, take a right",
    status: 403,
    is: ({ path, ...one }) => ["/meshes", "/config"].includes(path) && isWithoutRights(one),
  },
  {
    why: "writing takes a right",
    status: 403,
    is: ({ path, ...one }) => path.endsWith("/meshtimeouts/anon") && isWithoutRights(one),
  },
  { why: "there is no GUI", status: 404, is: ({ path }) => path === "/gui/" },
  {
    why: "what Envoys hold is not asked for through the control plane",
    status: 404,
    is: ({ path }) => /\/dataplanes\/.*\/(clusters|xds)$/.test(path),
  },
  {
    why: "a token that is good for nothing is not issued",
    status: 400,
    is: ({ note, status }) => status === 200 && ["empty scope", "scope cp", "0s", "negative"].includes(note),
  },
];
/** Not of this machine, and no administrator. */
const isWithoutRights = ({ note, status, reqHeaders }: Pick<Exchange, "note" | "status" | "reqHeaders">): boolean =>
  status < 300 && reqHeaders["x-forwarded-for"] !== undefined && bearerIn(note) !== "admin";

type Bearer = "jane" | "admin" | "stranger" | "proxy";
/** Of the token that the recording leaves out. */
function bearerIn(note: string): Bearer {
  if (note === "bad token" || note.includes("unknown key")) return "stranger";
  if (note === "dataplane token") return "proxy";
  return note.startsWith("admin") ? "admin" : "jane";
}

const clock = { now: () => Date.now(), alarm: () => () => {} };
const random = { uuid: () => crypto.randomUUID(), fraction: () => 0.5 };

async function stage(t: Parameters<typeof serve>[0]) {
  const [pem, ofMesh, unknown] = await Promise.all([createSigningKey(), createSigningKey(), createSigningKey()]);
  const keyAt = (place: KeyPlace, data = pem) => secretResource(signingKeyId(place, "1"), data);
  const keyIn = (place: KeyPlace, data: string): SigningKey => latestSigningKey(place, [keyAt(place, data)])!;
  const issuance = { now: clock.now(), validForMs: 3_600_000, tokenId: "some-id" };
  const user = (name: string, groups: readonly string[], data = pem): Promise<string> =>
    issueUserToken({ name, groups }, keyIn(userTokenKeys, data), issuance);
  const claims = { name: "x", mesh: "default", tags: {}, type: "", workload: "" };
  const tokens: Record<Bearer, string> = {
    jane: await user("jane", ["team-a"]),
    admin: await user("mesh-system:admin", ["mesh-system:admin"]),
    stranger: await user("jane", ["team-a"], unknown),
    proxy: await issueDataplaneToken(claims, keyIn(dataplaneTokenKeys("default"), ofMesh), issuance),
  };
  const keys = [keyAt(userTokenKeys), keyAt(dataplaneTokenKeys("default"), ofMesh)];
  const at = async (more: readonly ReturnType<typeof keyAt>[], options: Parameters<typeof serve>[1] = {}) => {
    const store = memoryStore(clock, random);
    t.after(() => store.close());
    await store.write([...keys, ...more].map((resource) => ({ kind: "put", resource })));
    const { issue, authenticate } = tokenIssuer(store, clock, random);
    return serve(t, { ...options, tokens: issue, authenticate });
  };
  const place = { kind: "zone", zone: "zone-1", isFederated: true } as const;
  const rigs = { global: await at([keyAt(zoneTokenKeys)]), "zone-1": await at([], { rules: { place } }) };
  return { rigs, tokens };
}

it("who may do what, and tokens: as a stock control plane answers, but where it is said why not", async (t) => {
  const { rigs, tokens } = await stage(t);
  const seen = new Set<string>();
  for (const exchange of exchanges) {
    const { cp, note, method, path, query, reqHeaders, reqBody } = exchange;
    const told = Object.entries(reqHeaders).map(([k, v]) => [k, v.replace("<token>", tokens[bearerIn(note)])]);
    const where = `${note}: ${method} ${path}`;
    const reply = await rigs[cp].call(method, query === undefined ? path : `${path}?${query}`, {
      ...{ headers: Object.fromEntries(told), body: reqBody },
    });
    const other = others.find(({ is }) => is(exchange));
    if (other) seen.add(other.why);
    assert.equal(reply.status, other?.status ?? exchange.status, `${where}: ${reply.text}`);
    if (!other) compare(reply, exchange, where);
  }
  assert.equal(seen.size, others.length, "each difference is met");
});

function compare(reply: Reply, { status, resHeaders, resBody = "" }: Exchange, where: string): void {
  assert.equal(reply.type, resHeaders["content-type"], where);
  assert.equal(reply.allow, resHeaders.allow, where);
  if (resBody === "…") return;
  if (typeof resBody !== "string") {
    if (status < 400) return void assert.partialDeepStrictEqual(withoutNames(reply.json), withoutNames(resBody), where);
    compareProblems(reply.json, resBody, where);
  } else if (resBody.startsWith("ey")) assert.deepEqual(claimsIn(reply.text), claimsIn(resBody), where);
  else assert.equal(reply.text, resBody, where);
}

/** What the index says of this control plane. */
const withoutNames = ({ clusterId: _, hostname: __, instanceId: ___, gui: ____, ...rest }: JsonObject): JsonObject =>
  rest;

/** Ours say more: why, and what to do. */
function compareProblems(is: JsonObject, was: JsonObject, where: string): void {
  assert.deepEqual([is.title, is.type, is.status], [was.title, was.type, was.status], where);
  assert.equal(is.details, is.detail, where);
  assert.deepEqual(fieldsIn(is), fieldsIn(was), where);
  if (was.status !== 403) return;
  const sentence = String(was.detail).replace(/ for zone '.*'$/, "");
  if (sentence !== "action not allowed") assert.ok(String(is.detail).startsWith(sentence), `${where}: ${is.detail}`);
}

const fieldsIn = ({ invalid_parameters: issues }: JsonObject): readonly unknown[] =>
  Array.isArray(issues) ? issues.map((issue) => isObject(issue) && issue.field) : [];

/** Times in seconds from when it was issued. Kuma writes `null` for a list that was not given, and reads both as none. */
function claimsIn(token: string): unknown {
  const [header = "", claims = ""] = token.split(".");
  const read = (part: string): JsonObject => JSON.parse(Buffer.from(part, "base64url").toString());
  const { iat, nbf, exp, jti, ...said } = read(claims);
  const rest = said.Groups === null ? { ...said, Groups: [] } : said;
  return {
    ...read(header),
    ...rest,
    jti: typeof jti,
    validFor: Number(exp) - Number(iat),
    from: Number(nbf) - Number(iat),
  };
}
