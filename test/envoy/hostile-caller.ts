// A caller made by hand: it shows whichever certificate, asks for whichever name, and sends whichever bytes.

import { generateKeyPair, X509Certificate } from "node:crypto";
import { connect } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import type { Authority } from "#identity/authority.ts";
import { authoritySigner, selfSigner, signedCertificate } from "#identity/certificate.ts";
import { createIssuer } from "#identity/issuer.ts";
import { patience } from "../lab/lab.ts";

const hour = 3_600_000;

export interface Shown {
  readonly cert: string;
  readonly key: string;
}

/** Where and how it calls. `tls`: absent, plaintext. */
export interface Call {
  readonly at: { readonly host: string; readonly port: number };
  readonly tls?: ConnectionOptions;
  readonly bytes: string;
}

/** All that it is told until the other end closes; it closes nothing itself. */
export function told({ at, tls, bytes }: Call): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = tls
      ? connectTls({ ALPNProtocols: ["kuma"], rejectUnauthorized: false, ...tls, ...at }, () => socket.write(bytes))
      : connect(at, () => socket.write(bytes));
    socket.setTimeout(10_000 * patience, () => {
      socket.destroy();
      reject(new Error(`neither answered nor closed; told so far: ${JSON.stringify(text)}`));
    });
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    // How it is refused, if it is told at all, is counted at the other end.
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
  });
}

const identityOf = (mesh: string, service: string) => ({
  ...{ mesh, services: [service], tags: { "kuma.io/service": [service] } },
});

/** As a proxy of the service has it. `now`: when it was issued; it is good for an hour. */
export async function leafOf(authority: Authority, mesh: string, service: string, now = Date.now()): Promise<Shown> {
  const { chain, privateKey } = await createIssuer(authority).issue(identityOf(mesh, service), now, hour);
  return { cert: chain, key: privateKey };
}

const newKeys = () => promisify(generateKeyPair)("ec", { namedCurve: "P-256" });

/** Of the service, by its own word. */
export async function selfSigned(mesh: string, service: string): Promise<Shown> {
  const { publicKey, privateKey } = await newKeys();
  const subject = [["CN", service]] as const;
  const signer = await selfSigner(subject, publicKey, privateKey);
  const cert = await signedCertificate({ ...leafContents(mesh, service), subject, publicKey }, signer);
  return { cert, key: pem(privateKey) };
}

/** Of the service, signed with the key of a certificate that may sign nothing. */
export async function signedByLeaf({ cert, key }: Shown, mesh: string, service: string): Promise<Shown> {
  const { publicKey, privateKey } = await newKeys();
  const [leaf = ""] = cert.split(/(?<=-----END CERTIFICATE-----\n)/);
  const signed = await signedCertificate(
    { ...leafContents(mesh, service), publicKey },
    authoritySigner(new X509Certificate(leaf).toString(), key),
  );
  return { cert: signed + cert, key: pem(privateKey) };
}

const pem = (key: { export(options: { type: "pkcs8"; format: "pem" }): string | Buffer }): string =>
  key.export({ type: "pkcs8", format: "pem" }).toString();

const leafContents = (mesh: string, service: string) => ({
  subject: [] as const,
  alternativeNames: [
    { type: "url", value: `spiffe://${mesh}/${service}` },
    { type: "url", value: `kuma://kuma.io/service/${service}` },
  ] as const,
  ...{ notBefore: Date.now() - 10_000, notAfter: Date.now() + hour, isAuthority: false },
  keyUsages: ["digitalSignature"] as const,
  extendedKeyUsages: ["clientAuth"] as const,
});
