// The client of a control plane's HTTP API: where it is, who asks, and its refusals as failures.

import { z } from "zod";
import { isLoopback } from "#api/user.ts";
import { textOf, trustIn, trustSettings } from "#cli/trust.ts";
import { Usage } from "#cli/verb.ts";
import { request } from "#host/https.ts";
import type { Schema, Settings } from "#host/settings.ts";
import { type Failure, KodiakError } from "#lib/failure.ts";
import { isObject, type JsonObject } from "#lib/json.ts";

export const apiSettings = {
  api: {
    type: "string",
    value: "url",
    help: "the control plane's API: http on its own machine, https from elsewhere",
    default: "http://localhost:5681",
  },
  token: { type: "string", secret: true, help: "user token" },
  tokenFile: { type: "file", help: "file that holds the user token" },
  ...trustSettings,
} as const satisfies Schema;

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** Empty if the answer is no JSON object. */
  readonly json: JsonObject;
}
export interface Api {
  readonly url: string;
  /** Any answer; rejects with `unavailable` if there is none. */
  ask(method: string, path: string, body?: unknown): Promise<Answer>;
  /** An answer that is a success; else rejects with the failure that the control plane told. `what`: what was asked for. */
  call(method: string, path: string, what: string, body?: unknown): Promise<Answer>;
}

export function apiClient(values: Settings<typeof apiSettings>): Api {
  const url = urlIn(values.api);
  const trust = trustIn(values);
  const isTls = url.protocol === "https:";
  if (isTls && !trust)
    throw new Usage(`--api ${values.api}: https needs --ca-cert-file or --ca-fingerprint (or --tls-skip-verify)`);
  const token = (values.tokenFile === undefined ? values.token : textOf(values.tokenFile, "--token-file"))?.trim();
  if (token !== undefined && !isTls && !isLoopback(url.hostname))
    throw new Usage(`--api ${values.api}: a token is not sent over plain http to another machine; use https`);

  const ask: Api["ask"] = async (method, path, body) => {
    const answer = await request({
      url: new URL(path, url).href,
      method,
      headers: {
        accept: "application/json",
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(trust && { trust }),
      timeoutMs: 30_000,
    }).catch((error: unknown) => {
      throw withHint(error);
    });
    const text = Buffer.from(answer.body).toString();
    return { status: answer.status, text, json: jsonIn(text) };
  };
  const call: Api["call"] = async (method, path, what, body) => {
    const answer = await ask(method, path, body);
    if (answer.status >= 400)
      throw new KodiakError(
        isMeshMissing(answer) ? missing(meshIn(path), "meshes") : failureIn(answer, what, url.origin, path),
      );
    return answer;
  };
  return { url: url.origin, ask, call };
}

function urlIn(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && (url.protocol === "http:" || url.protocol === "https:")) return url;
  throw new Usage(`--api ${text}: must be the address of an API, like http://localhost:5681 or https://host:5682`);
}

function withHint(error: unknown): unknown {
  if (!(error instanceof KodiakError) || error.failure.kind !== "unavailable") return error;
  const what = `${error.message} (--api or KODIAK_API names the control plane)`;
  return new KodiakError({ kind: "unavailable", what }, { cause: error });
}

function jsonIn(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

const isMeshMissing = ({ json }: Answer): boolean => json.title === "Failed to retrieve Mesh";
const meshIn = (path: string): string => `mesh "${decodeURIComponent(/^\/meshes\/([^/]+)/.exec(path)?.[1] ?? "")}"`;

/** The arguments that show the list which a resource's path is in. */
function listIn(path: string): string {
  const [, mesh, plural] = /^(?:\/meshes\/([^/]+))?\/([^/]+)\/[^/]+/.exec(path) ?? [];
  return mesh === undefined || mesh === "default" ? `${plural}` : `${plural} -m ${decodeURIComponent(mesh)}`;
}
const missing = (what: string, list: string): Failure => ({
  kind: "not-found",
  what,
  hint: `\`kodiak get ${list}\` lists what there is`,
});

const problem = z.object({
  title: z.string(),
  detail: z.string(),
  invalid_parameters: z.array(z.object({ field: z.string(), reason: z.string() })).default([]),
});

/** `path`: what was asked for, in the API. */
export function failureIn({ status, json, text }: Answer, what: string, url: string, path: string): Failure {
  const parsed = problem.safeParse(json);
  const detail = parsed.success ? parsed.data.detail.trim() : text.trim();
  switch (status) {
    case 400: {
      const issues = parsed.success ? parsed.data.invalid_parameters : [];
      const told = issues.map(({ field, reason }) => ({ path: field, message: reason }));
      return {
        kind: "invalid",
        what,
        issues: told.length > 0 ? told : [{ path: "", message: detail || "is refused" }],
      };
    }
    case 401:
      return {
        kind: "unauthenticated",
        why: `${url} does not accept the token: ${detail}; give another one with --token`,
      };
    case 403:
    case 405:
      return { kind: "forbidden", why: detail };
    case 404:
      return detail === "Not found" ? missing(what, listIn(path)) : { kind: "unavailable", what: `${what}: ${detail}` };
    case 409:
      return { kind: "conflict", what: detail };
    default:
      return { kind: "unavailable", what: `${url} answers ${status} to ${what}: ${detail || "without a reason"}` };
  }
}
