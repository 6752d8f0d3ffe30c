// Which zones may call, and the service with which they come by the certificates that say so: Kodiak's own, beside Kuma's on the
// same port. Messages are JSON.

import type { CallInfo, Identity } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import { isObject, parseJson } from "#lib/json.ts";

export interface Members {
  /** Throws a KodiakError, `unauthenticated` or `forbidden`, that says why the caller is not let in as this zone. */
  check(zone: string, call: CallInfo): void;
  /**
   * Resolves with a new certificate for the zone, PEM. Rejects as `check` throws, or with `invalid`. `accepted` is called before
   * anything is done; if it rejects, nothing is.
   */
  certify(zone: string, ask: CertificateAsk, call: CallInfo, accepted?: () => Promise<void>): Promise<string>;
  /**
   * Resolves with an intermediate authority for the zone, PEM: its certificate, then those up to the root. Rejects as `check` throws,
   * `unauthenticated` also where no certificate is shown, or with `invalid`, or `not-found`.
   */
  intermediate(zone: string, ask: IntermediateAsk, call: CallInfo): Promise<string>;
}

export interface IntermediateAsk {
  readonly mesh: string;
  readonly backend: string;
  /** PKCS#10, PEM. */
  readonly request: string;
}

/** A zone's certificate. */
export interface Membership {
  /** To be shown; `undefined`: there is none. */
  identity(): Identity | undefined;
  /** There is no certificate that is any good, and a token to get one. */
  mustJoin(): boolean;
  /** Global takes it for nobody. */
  refused(): void;
  /** Rejects with why global gives none, or can't be reached. */
  join(): Promise<void>;
}

export interface CertificateAsk {
  /** PKCS#10, PEM. */
  readonly request: string;
  /** Absent: the call shows a certificate, which is renewed. */
  readonly token?: string;
  /** The caller's clock, milliseconds since the epoch: so that it can be told what is wrong with it. */
  readonly now: number;
}

export const intermediateBytes = (ask: IntermediateAsk): Uint8Array => bytesOf({ ...ask });

/** Throws `invalid`. */
export function intermediateAskIn(bytes: Uint8Array): IntermediateAsk {
  const { mesh, backend, request } = objectIn(bytes);
  if (typeof mesh !== "string" || typeof backend !== "string" || typeof request !== "string")
    throw misfit("must have the texts mesh, backend and request");
  return { mesh, backend, request };
}

export const certificateBytes = (ask: CertificateAsk): Uint8Array => bytesOf({ ...ask });

/** Throws `invalid`. */
export function certificateAskIn(bytes: Uint8Array): CertificateAsk {
  const { request, token, now } = objectIn(bytes);
  if (typeof request !== "string" || typeof now !== "number" || (token !== undefined && typeof token !== "string"))
    throw misfit("must have the text request, the number now, and perhaps the text token");
  return { request, now, ...(token !== undefined && { token }) };
}

export const certificateAnswer = (certificate: string): Uint8Array => bytesOf({ certificate });

/** Throws `invalid`. */
export function certificateIn(bytes: Uint8Array): string {
  const { certificate } = objectIn(bytes);
  if (typeof certificate !== "string") throw misfit("must have the text certificate");
  return certificate;
}

const bytesOf = (message: object): Uint8Array => new TextEncoder().encode(JSON.stringify(message));

function objectIn(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const message: unknown = parseJson(new TextDecoder().decode(bytes));
    if (isObject(message)) return message;
  } catch {
    // Told below.
  }
  throw misfit("must be a JSON object");
}

const misfit = (message: string) =>
  new KodiakError({ kind: "invalid", what: "a message about certificates", issues: [{ path: "", message }] });
