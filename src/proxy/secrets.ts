// What proxies get over SDS: their own certificate with its key, and the authority that they trust.

import { identitySecretName, trustSecretName } from "#envoy/tls.ts";
import type { Draft } from "#proxy/bundle.ts";

/** Base64 of PEM. */
export interface IssuedCertificate {
  readonly mesh: string;
  readonly chain: string;
  readonly privateKey: string;
}

export function identityDraft({ mesh, chain, privateKey }: IssuedCertificate): Draft {
  const name = identitySecretName(mesh);
  return {
    type: "secret",
    name,
    json: {
      name,
      tlsCertificate: { certificateChain: { inlineBytes: chain }, privateKey: { inlineBytes: privateKey } },
    },
  };
}

/** `authority`: base64 of PEM, as a Secret holds it. */
export function trustDraft(mesh: string, authority: string): Draft {
  const name = trustSecretName(mesh);
  return { type: "secret", name, json: { name, validationContext: { trustedCa: { inlineBytes: authority } } } };
}
