// How a client checks the certificate of the server that it connects to, and how it says that the check failed.
// Nothing is sent to a server before the check: not the path, not a token.

import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { hostPort } from "#host/connection-failure.ts";
import type { Target, Trust } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Issue } from "#lib/issue.ts";

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
  const issue = trustIssue(trust);
  if (issue) {
    const what = `the trust in ${hostPort(target.host, target.port)}`;
    throw new KodiakError({ kind: "invalid", what, issues: [issue] });
  }
  // Node would hang up before anybody could say which certificate was shown. `refusalOf` refuses.
  return { rejectUnauthorized: false, ...(trust.kind === "ca" && { ca: trust.ca }) };
}

/** Why a trust is not usable, whatever the server. */
export function trustIssue(trust: Trust): Issue | undefined {
  switch (trust.kind) {
    case "ca":
      // Node ignores what is not a certificate, and would then say that nothing is signed by it.
      return isCertificate(trust.ca) ? undefined : { path: "ca", message: "must be one or more certificates in PEM" };
    case "fingerprint":
      return /^[0-9a-f]{64}$/.test(normalised(trust.sha256))
        ? undefined
        : {
            path: "sha256",
            message: "must be 64 hexadecimal digits: the SHA-256 fingerprint of the server's certificate",
          };
    case "skip-verify":
      return undefined;
  }
}

/** Once TLS stands, and before anything is sent: why the server is not the expected one, or `undefined`. */
export function refusalOf(socket: TLSSocket, target: Target): string | undefined {
  const { trust } = target;
  if (trust.kind === "skip-verify") return undefined;
  const shown = socket.getPeerX509Certificate();
  const certificate = `the certificate of ${hostPort(target.host, target.port)}`;
  if (trust.kind === "ca")
    return socket.authorized ? undefined : `${certificate} ${whyNotSigned(socket.authorizationError, shown, target)}`;
  const actual = normalised(shown?.fingerprint256 ?? "");
  const expected = normalised(trust.sha256);
  if (actual === expected) return undefined;
  return `${certificate} has fingerprint ${withColons(actual)}, expected ${withColons(expected)}; give the one that this server printed when it started, or correct the address`;
}

/** `reason`: the code of OpenSSL or Node. */
function whyNotSigned(reason: unknown, shown: X509Certificate | undefined, { host }: Target): string {
  switch (String(reason)) {
    case "CERT_HAS_EXPIRED":
      return "has expired; renew it";
    case "CERT_NOT_YET_VALID":
      return "is not valid yet; check the clocks of both machines";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `is not made for ${host} but for ${namesOf(shown)}; connect to one of its names, or trust its fingerprint`;
    default:
      return `is not signed by the given CA; give the CA file of this server, or its fingerprint if it printed ${shown?.fingerprint256} when it started`;
  }
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}

const namesOf = (certificate: X509Certificate | undefined): string =>
  (certificate?.subjectAltName ?? "nothing").replaceAll(/(?:DNS|IP Address|URI):/g, "");

const normalised = (fingerprint: string): string => fingerprint.replaceAll(":", "").toLowerCase();
/** As servers print it. */
const withColons = (digits: string): string => digits.toUpperCase().replaceAll(/..(?!$)/g, "$&:");
