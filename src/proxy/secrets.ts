// What proxies get over SDS: their own certificate with its key, and the authority that they trust.

import { gatewayCertificateName, identitySecretName, trustSecretName } from "#envoy/tls.ts";
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

/** `data`: base64 of PEM with the chain and its private key; nothing without both, as Envoy would refuse it. */
export function gatewayCertificateDraft(mesh: string, secret: string, data: string): readonly Draft[] {
  const pem = Buffer.from(data, "base64").toString();
  const chain = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)?.join("\n");
  const privateKey = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^-]+-----END \1-----/.exec(pem)?.[0];
  if (chain === undefined || privateKey === undefined) return [];
  const name = gatewayCertificateName(mesh, secret);
  const bytes = (text: string) => ({ inlineBytes: Buffer.from(`${text}\n`).toString("base64") });
  const json = { name, tlsCertificate: { certificateChain: bytes(chain), privateKey: bytes(privateKey) } };
  return [{ type: "secret", name, json }];
}

/** `authorities`: each base64 of PEM, as a Secret holds it. All of them are trusted alike. */
export function trustDraft(mesh: string, authorities: readonly string[]): Draft {
  const name = trustSecretName(mesh);
  return {
    type: "secret",
    name,
    json: { name, validationContext: { trustedCa: { inlineBytes: together(authorities) } } },
  };
}

function together(authorities: readonly string[]): string {
  const [first = "", ...others] = new Set(authorities);
  if (others.length === 0) return first;
  return Buffer.from(
    [first, ...others].map((one) => `${Buffer.from(one, "base64").toString().trimEnd()}\n`).join(""),
  ).toString("base64");
}
