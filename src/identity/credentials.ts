// What checks tokens and signs certificates in a zone, and its authorities on global. Node.js does both on other threads, whose order is chance, so they are an
// interface: here with real keys; a simulation brings its own, which take virtual time.

import { type KeptAuthority, readAuthority } from "#identity/authority.ts";
import { newSigningRequest } from "#identity/certificate.ts";
import { isUnder, signIntermediate } from "#identity/intermediate.ts";
import { createIssuer, type Issuer } from "#identity/issuer.ts";
import { verifyDataplaneToken, verifyZoneToken } from "#identity/tokens.ts";
import { certificateOf } from "#identity/zone-certificate.ts";

export interface Credentials {
  /** Throws `invalid` where the authority cannot sign. */
  issuerOf(authority: KeptAuthority): Issuer;
  readonly verifyDataplaneToken: typeof verifyDataplaneToken;
  readonly verifyZoneToken: typeof verifyZoneToken;
  readonly newSigningRequest: typeof newSigningRequest;
  readonly certificateOf: typeof certificateOf;
  readonly isUnder: typeof isUnder;
  readonly signIntermediate: typeof signIntermediate;
}

export const realCredentials: Credentials = {
  issuerOf: (authority) => createIssuer(readAuthority(authority)),
  verifyDataplaneToken,
  verifyZoneToken,
  newSigningRequest,
  certificateOf,
  isUnder,
  signIntermediate,
};
