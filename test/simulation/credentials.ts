// Credentials without cryptography: a token is the name of its bearer, a certificate says who signed it and for whom. All take
// a little virtual time, as real ones take real time.

import type { Credentials } from "#identity/credentials.ts";
import type { Program } from "./program.ts";

export const tokenOf = (name: string): string => `token of ${name}`;

/** What is written in a simulated certificate of a proxy; times are milliseconds since the epoch. */
export interface Signed {
  /** The mesh's. */
  readonly authority: string;
  /** The zone whose own authority stands between. */
  readonly signer: string | undefined;
  readonly mesh: string;
  readonly services: readonly string[];
  readonly notAfter: number;
}

/** What is written in that of a zone's own authority. */
interface Intermediate {
  readonly under: string;
  readonly zone: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

const dayMs = 86_400_000;
const validityMs = 7 * dayMs;
/** Of a zone's own authority. */
export const intermediateLastsMs = 365 * dayMs;

const intermediateIn = (certificate: string): Intermediate | undefined =>
  certificate.startsWith("{") ? JSON.parse(certificate) : undefined;

/** `lastsMs`: of zones' own authorities. */
export function credentials({ clock, random }: Program, lastsMs: number): Credentials {
  const takes = (leastMs: number, mostMs: number): Promise<void> =>
    new Promise((resolve) => clock.alarm(clock.now() + random.between(leastMs, mostMs), resolve));
  const verdict = async <Claims>(isRight: boolean, claims: Claims) => {
    await takes(0, 2);
    return isRight
      ? { ok: true as const, claims }
      : { ok: false as const, fault: "name" as const, reason: "this token is not its bearer's" };
  };
  return {
    issuerOf: ({ certificate }) => ({
      async issue({ mesh, services }, now, wantedMs = validityMs) {
        await takes(1, 30);
        const own = intermediateIn(certificate);
        const notAfter = Math.min(now + wantedMs, own?.notAfter ?? Number.POSITIVE_INFINITY);
        const authority = own?.under ?? certificate;
        const signed: Signed = { authority, signer: own?.zone, mesh, services, notAfter };
        return {
          chain: JSON.stringify(signed),
          privateKey: random.uuid(),
          notBefore: now,
          notAfter,
          renewAt: now + (notAfter - now) / 2,
          serial: "1",
          alternativeNames: [],
        };
      },
    }),
    verifyDataplaneToken: (token, _, { mesh, name }) =>
      verdict(token === tokenOf(name), { name, mesh, tags: {}, type: "", workload: "" }),
    verifyZoneToken: (token, _, { zone, scope }) => verdict(token === tokenOf(zone), { zone, scope: [scope] }),
    async newSigningRequest() {
      await takes(1, 5);
      return { request: random.uuid(), privateKey: random.uuid() };
    },
    async signIntermediate({ certificate: under }, { zone }, now) {
      await takes(1, 30);
      return JSON.stringify({ under, zone, notBefore: now, notAfter: now + lastsMs } satisfies Intermediate);
    },
    certificateOf(text) {
      const { notBefore = 0, notAfter = 0 } = intermediateIn(text) ?? {};
      return { serial: "1", notAfter, renewAt: notBefore + (notAfter - notBefore) / 2 };
    },
    isUnder: (chain, authority) => intermediateIn(chain)?.under === authority,
  };
}
