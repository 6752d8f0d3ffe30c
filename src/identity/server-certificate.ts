// The TLS certificate that a control plane makes for itself at its first start and keeps in its folder. It is self-signed and
// an authority, so that one file serves both ends: the server shows it, and clients trust it by `--ca-cert-file`.

import { generateKeyPair, type X509Certificate } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { backdatedMs } from "#identity/authority.ts";
import { type DistinguishedName, selfSigner, signedCertificate } from "#identity/certificate.ts";
import { fingerprintOf, readKeyPair } from "#identity/pem.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Issue } from "#lib/issue.ts";

export interface ServerCertificate {
  /** PEM. */
  readonly certificate: string;
  readonly privateKey: string;
  /** As `fingerprintOf`. */
  readonly fingerprint: string;
  /** For `--ca-cert-file`. */
  readonly certificateFile: string;
  /** Names asked for that an older certificate does not hold: clients that connect by them refuse it. */
  readonly missingNames: readonly string[];
}

const validityMs = 3650 * 86_400_000;

/** Host name, localhost, every address of this machine, and the addresses that the control plane is told to listen on. */
export function serverNames(bindAddresses: readonly string[]): readonly string[] {
  const own = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address));
  const bound = bindAddresses.filter((address) => address !== "0.0.0.0" && address !== "::");
  return [...new Set([hostname(), "localhost", "127.0.0.1", "::1", ...own, ...bound])];
}

/** `names`: host names and IP addresses. Once made, a certificate stays: clients hold it or its fingerprint. */
export async function loadOrCreateServerCertificate(
  folder: string,
  names: readonly string[],
  now: number,
): Promise<ServerCertificate> {
  const certificateFile = join(folder, "server-certificate.pem");
  const keyFile = join(folder, "server-key.pem");
  const kept = await readIfThere(certificateFile);
  if (kept !== undefined) {
    const privateKey = (await readIfThere(keyFile)) ?? "";
    const certificate = usable(kept, privateKey, now, certificateFile, keyFile);
    return {
      ...described(kept, privateKey, certificateFile),
      missingNames: names.filter((name) => !holds(certificate, name)),
    };
  }
  const made = await createServerCertificate(names, now);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // The key first: where the certificate is, both are.
  await writeWhole(keyFile, made.privateKey);
  await writeWhole(certificateFile, made.certificate);
  return { ...described(made.certificate, made.privateKey, certificateFile), missingNames: [] };
}

const described = (certificate: string, privateKey: string, certificateFile: string) => ({
  certificate,
  privateKey,
  certificateFile,
  fingerprint: fingerprintOf(certificate),
});

async function createServerCertificate(
  names: readonly string[],
  now: number,
): Promise<{ readonly certificate: string; readonly privateKey: string }> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)("ec", { namedCurve: "P-256" });
  const subject: DistinguishedName = [
    ["O", "Kodiak"],
    ["CN", "control plane"],
  ];
  const certificate = await signedCertificate(
    {
      subject,
      alternativeNames: names.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value })),
      publicKey,
      notBefore: now - backdatedMs,
      notAfter: now + validityMs,
      isAuthority: true,
      keyUsages: ["digitalSignature", "keyCertSign"],
      extendedKeyUsages: ["serverAuth"],
    },
    await selfSigner(subject, publicKey, privateKey),
  );
  return { certificate, privateKey: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
}

function usable(
  certificatePem: string,
  privateKeyPem: string,
  now: number,
  certificateFile: string,
  keyFile: string,
): X509Certificate {
  const { certificate, issues } = readKeyPair(certificatePem, privateKeyPem);
  const wrong: Issue[] = [...issues];
  if (certificate && certificate.validToDate.getTime() <= now)
    wrong.push({ path: "cert", message: `must be valid; it expired at ${certificate.validToDate.toISOString()}` });
  if (certificate && wrong.length === 0) return certificate;
  const what = `the control plane's certificate ${certificateFile} with the key ${keyFile}`;
  throw new KodiakError({
    kind: "invalid",
    what: `${what} can't be used; put the right files back, or remove both to have new ones made, and give the new certificate to those who connect`,
    issues: wrong,
  });
}

const holds = (certificate: X509Certificate, name: string): boolean =>
  (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined;

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new KodiakError({ kind: "unavailable", what: `can't read ${file}: ${String(error)}` }, { cause: error });
  }
}

/** A crash leaves the old file or the new one, never half of it. */
export async function writeWhole(file: string, text: string): Promise<void> {
  const beside = `${file}.new`;
  await writeFile(beside, text, { mode: 0o600 });
  await rename(beside, file);
}
