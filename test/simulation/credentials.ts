// Credentials without cryptography: a token is the name of its bearer, a certificate says who signed it and for whom. Both take
// a little virtual time, as real ones take real time.

import type { Credentials } from "#identity/credentials.ts";
import type { Program } from "./program.ts";

export const tokenOf = (name: string): string => `token of ${name}`;

/** What is written in a simulated certificate. */
export interface Signed {
  readonly authority: string;
  readonly mesh: string;
  readonly services: readonly string[];
}

const validityMs = 7 * 86_400_000;

export function credentials({ clock, random }: Program): Credentials {
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
        const signed: Signed = { authority: certificate, mesh, services };
        const notAfter = now + wantedMs;
        return {
          chain: JSON.stringify(signed),
          privateKey: random.uuid(),
          notBefore: now,
          notAfter,
          renewAt: now + wantedMs / 2,
          serial: "1",
          alternativeNames: [],
        };
      },
    }),
    verifyDataplaneToken: (token, _, { mesh, name }) =>
      verdict(token === tokenOf(name), { name, mesh, tags: {}, type: "", workload: "" }),
    verifyZoneToken: (token, _, { zone, scope }) => verdict(token === tokenOf(zone), { zone, scope: [scope] }),
  };
}
