// Who asks. On the plain port a local process is the administrator, unless a browser or a proxy stands between, or that is off;
// else the user token says it (interop 5.4). What they may do is in `rights.ts`.

import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { Problem } from "#api/problem.ts";

export interface User {
  readonly name: string;
  readonly groups: readonly string[];
  /** Of the token that says so. */
  readonly tokenId?: string;
  /** When that ends: milliseconds since the epoch; absent: never. */
  readonly expiresMs?: number;
}

/** Checks a user token: whose it is, or why it is none. */
export type Authenticate = (
  token: string,
) => Promise<{ readonly ok: true; readonly claims: User } | { readonly ok: false; readonly reason: string }>;

export const adminGroup = "mesh-system:admin";
const authenticatedGroup = "mesh-system:authenticated";
export const admin: User = { name: "mesh-system:admin", groups: [adminGroup, authenticatedGroup] };
export const anonymous: User = { name: "mesh-system:anonymous", groups: ["mesh-system:unauthenticated"] };

/** What is known of a request before it is answered. */
export interface Asking {
  readonly isTls: boolean;
  readonly peer: string;
  readonly headers: IncomingHttpHeaders;
}

/** Throws a 401 if there is a token that is not valid. */
export async function userOf(asking: Asking, authenticate: Authenticate, hasLocalAdmin: boolean): Promise<User> {
  if (hasLocalAdmin && !asking.isTls && isLocalAdmin(asking)) return admin;
  // The scheme's name in this spelling only, like Kuma.
  const token = /^Bearer (.+)$/.exec(asking.headers.authorization ?? "")?.[1];
  if (token === undefined) return anonymous;
  const verified = await authenticate(token);
  if (!verified.ok) throw new Problem(401, "Invalid authentication data", `Unauthenticated: ${verified.reason}`);
  const { groups, ...claims } = verified.claims;
  return { ...claims, groups: [...groups, authenticatedGroup] };
}

/** A program or person on this machine, and not a page in their browser. */
export function isLocalAdmin({ peer, headers }: Pick<Asking, "peer" | "headers">): boolean {
  if (!isLoopback(peer)) return false;
  if (headers.forwarded || headers["x-forwarded-for"] || headers["x-real-ip"]) return false;
  // Against DNS rebinding and pages of other sites: what a browser sends must have come from here.
  const host = hostOf(`http://${headers.host ?? ""}`);
  if (host === undefined || !isLoopback(host.hostname)) return false;
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return false;
  const { origin } = headers;
  return origin === undefined || hostOf(origin)?.host === host.host;
}

function hostOf(url: string): URL | undefined {
  return URL.canParse(url) ? new URL(url) : undefined;
}

export function isLoopback(host: string): boolean {
  const address = host.replace(/^\[(.*)\]$/, "$1").replace(/^::ffff:/, "");
  return address === "localhost" || address === "::1" || (isIP(address) === 4 && address.startsWith("127."));
}
