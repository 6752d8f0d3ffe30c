// What checks tokens and signs certificates in a zone. Node.js does both on other threads, whose order is chance, so they are an
// interface: here with real keys; a simulation brings its own, which take virtual time.

import { type KeptAuthority, readAuthority } from "#identity/authority.ts";
import { createIssuer, type Issuer } from "#identity/issuer.ts";
import { verifyDataplaneToken, verifyZoneToken } from "#identity/tokens.ts";

export interface Credentials {
  /** Throws `invalid` where the authority cannot sign. */
  issuerOf(authority: KeptAuthority): Issuer;
  readonly verifyDataplaneToken: typeof verifyDataplaneToken;
  readonly verifyZoneToken: typeof verifyZoneToken;
}

export const realCredentials: Credentials = {
  issuerOf: (authority) => createIssuer(readAuthority(authority)),
  verifyDataplaneToken,
  verifyZoneToken,
};
