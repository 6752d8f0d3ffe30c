// How the certificate of a control plane is checked: one of three flags, the same for every verb that connects to one.

import { Usage } from "#cli/verb.ts";
import type { Schema, Settings } from "#host/settings.ts";
import { readTextFile } from "#host/text-file.ts";
import { trustIssue } from "#host/trust.ts";
import type { Trust } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";

export const trustSettings = {
  caCertFile: {
    type: "file",
    help: "PEM file of the authority that signed the control plane's certificate, or of that certificate",
  },
  caFingerprint: {
    type: "string",
    value: "sha256",
    help: "SHA-256 fingerprint of the control plane's certificate, as it prints it when it starts",
  },
  tlsSkipVerify: { type: "boolean", help: "do not check the control plane's certificate; for trying things out" },
} as const satisfies Schema;

/** What the flags say; `undefined` if none of them is given. */
export function trustIn(values: Settings<typeof trustSettings>): Trust | undefined {
  const { caCertFile, caFingerprint, tlsSkipVerify } = values;
  const given = [caCertFile, caFingerprint, tlsSkipVerify || undefined].filter((value) => value !== undefined);
  if (given.length > 1) throw new Usage("give one of --ca-cert-file, --ca-fingerprint and --tls-skip-verify");
  if (caCertFile !== undefined)
    return usable({ kind: "ca", ca: textOf(caCertFile, "--ca-cert-file") }, `--ca-cert-file ${caCertFile}`);
  if (caFingerprint !== undefined) return usable({ kind: "fingerprint", sha256: caFingerprint }, "--ca-fingerprint");
  return tlsSkipVerify ? { kind: "skip-verify" } : undefined;
}

function usable(trust: Trust, flag: string): Trust {
  const issue = trustIssue(trust);
  if (issue) throw new Usage(`${flag}: ${issue.message}`);
  return trust;
}

export function requiredTrust(values: Settings<typeof trustSettings>, url: string): Trust {
  const trust = trustIn(values);
  if (trust) return trust;
  throw new Usage(
    `how is the certificate of ${url} to be checked? Give --ca-cert-file, or --ca-fingerprint with what the control plane prints when it starts; --tls-skip-verify connects to anybody`,
  );
}

/** The content of a file that a flag names. */
export function textOf(file: string, flag: string): string {
  try {
    return readTextFile(file);
  } catch (error) {
    if (!(error instanceof KodiakError)) throw error;
    throw new Usage(`${flag}: ${error.message}`, { cause: error });
  }
}
