// How a client checks the certificate of the server that it connects to, and how it says that the check failed.
// Nothing is sent to a server before the check: not the path, not a token.

import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { codeOf, hostPort, whyNotConnected } from "#host/connection-failure.ts";
import type { Target } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";

/** Options for `tls.connect`. Throws `invalid` when the trust itself is not usable. */
export function tlsOptions(target: Target): ConnectionOptions {
  return {
    host: target.host,
    port: target.port,
    // There is no server name for an address (RFC 6066, 3); the name check then uses the host.
    servername: isIP(target.host) === 0 ? target.host : "",
    minVersion: "TLSv1.2",
    ...verification(target),
  };
}

function verification(target: Target): ConnectionOptions {
  const { trust } = target;
  switch (trust.kind) {
    case "ca":
      // Node ignores what is not a certificate, and would then say that nothing is signed by it.
      if (!isCertificate(trust.ca)) throw unusable(target, "ca", "must be one or more certificates in PEM");
      return { ca: trust.ca };
    case "fingerprint":
      if (!/^[0-9a-f]{64}$/.test(normalised(trust.sha256))) {
        throw unusable(
          target,
          "sha256",
          "must be 64 hexadecimal digits: the SHA-256 fingerprint of the server's certificate",
        );
      }
      return { rejectUnauthorized: false };
    case "skip-verify":
      return { rejectUnauthorized: false };
  }
}

/** Once TLS stands: why the server is not the expected one, or `undefined`. */
export function refusalOf(socket: TLSSocket, target: Target): string | undefined {
  if (target.trust.kind !== "fingerprint") return undefined;
  const expected = normalised(target.trust.sha256);
  const actual = normalised(socket.getPeerX509Certificate()?.fingerprint256 ?? "");
  if (actual === expected) return undefined;
  return `the certificate of ${hostPort(target.host, target.port)} has fingerprint ${actual}, expected ${expected}; ask who runs it which is right`;
}

/** Why a connection to `target` failed, its certificate included. */
export function whyNotTrusted(error: unknown, target: Target): string {
  const certificate = `the certificate of ${hostPort(target.host, target.port)}`;
  switch (codeOf(error)) {
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "CERT_SIGNATURE_FAILURE":
    case "INVALID_CA":
      return `${certificate} is not signed by the given CA; give the CA file of that server, or its fingerprint`;
    case "CERT_HAS_EXPIRED":
      return `${certificate} has expired; renew it`;
    case "CERT_NOT_YET_VALID":
      return `${certificate} is not valid yet; check the clocks of both machines`;
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `${certificate} is not made for ${target.host}${namesIn(error)}; connect to one of its names, or trust its fingerprint`;
    default:
      return whyNotConnected(error);
  }
}

function unusable(target: Target, path: string, message: string): KodiakError {
  const what = `the trust in ${hostPort(target.host, target.port)}`;
  return new KodiakError({ kind: "invalid", what, issues: [{ path, message }] });
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}

function namesIn(error: unknown): string {
  if (!(error instanceof Error && "cert" in error)) return "";
  const { cert } = error;
  if (typeof cert !== "object" || cert === null || !("subjectaltname" in cert)) return "";
  return ` but for ${String(cert.subjectaltname).replaceAll(/(?:DNS|IP Address|URI):/g, "")}`;
}

const normalised = (fingerprint: string): string => fingerprint.replaceAll(":", "").toLowerCase();
