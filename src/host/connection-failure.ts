// Why a port could not be opened or a server not be reached, as a sentence that says what to do. The codes are those of
// the operating system, OpenSSL and Node.

import { isIPv6 } from "node:net";

export const hostPort = (host: string, port: number): string =>
  isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";

/** Nobody closed the connection: no answer came any more, or there is no way to where it came from. */
export const isSilence = (error: unknown): boolean => silences.has(codeOf(error));
const silences = new Set(["ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN"]);

/** As the kernel has it when its own probes are not answered. */
export const silenceError = (why: string): Error => Object.assign(new Error(why), { code: "ETIMEDOUT" });

export const inUse = "the address is in use; stop the other program or choose another port";

export function whyNotListening(error: unknown): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return inUse;
    case "EADDRNOTAVAIL":
      return "this machine does not have that address; choose one of its own, or 0.0.0.0 for all";
    case "EACCES":
      return "this needs more rights; choose a port above 1023";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the host name is not known; correct it or give an address";
    default:
      return messageOf(error);
  }
}

/** Not for what is wrong with the server's certificate: that is said by `trust.ts`. */
export function whyNotConnected(error: unknown): string {
  switch (codeOf(error)) {
    case "ECONNREFUSED":
      return "nothing listens there; start the server or correct the address";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the host name is not known; correct it or give an address";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "ETIMEDOUT":
      return "no way leads there; check the address, routes and firewalls";
    case "ECONNRESET":
    case "EPIPE":
      return "the server closed the connection without an answer; check that the port is the right one";
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
      return "the server does not speak TLS there; check that the port is the right one";
    case "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL":
      return "the server does not speak HTTP/2 there; check that the port is the right one";
    case "HPE_INVALID_CONSTANT":
      return "the server does not speak plain HTTP there; check that the port is the right one, or use https";
    default:
      return messageOf(error);
  }
}
