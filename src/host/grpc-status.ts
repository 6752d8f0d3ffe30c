// How a gRPC call ended: as headers on the wire, and as what HTTP/2, HTTP and our own errors mean in gRPC's terms.
// This is the gRPC edge's one table from failures to codes.

import { constants as http2, type IncomingHttpHeaders } from "node:http2";
import type { Log } from "#host/log.ts";
import { GrpcError, grpcCode, type Status } from "#host/world.ts";
import { type Failure, KodiakError } from "#lib/failure.ts";

/** Longer ones could exceed a peer's limit for headers, and the status would be lost with its message. */
const maxMessageLength = 4096;

export function statusHeaders(status: Status): Record<string, string> {
  const message = encodeMessage(status.message.slice(0, maxMessageLength));
  return { "grpc-status": String(status.code), ...(message === "" ? {} : { "grpc-message": message }) };
}

/** `undefined` when these headers hold no status. */
export function statusIn(headers: IncomingHttpHeaders): Status | undefined {
  const code = headers["grpc-status"];
  if (code === undefined) return undefined;
  const message = headers["grpc-message"];
  return {
    code: /^\d+$/.test(String(code)) ? Number(code) : grpcCode.unknown,
    message: message === undefined ? "" : decodeMessage(String(message)),
  };
}

/** Only `%` and what is not printable ASCII is encoded, as UTF-8: Envoy and grpc-go do the same. */
export function encodeMessage(message: string): string {
  return message.replace(/[^ -$&-~]+/gu, (text) =>
    Buffer.from(text).toString("hex").toUpperCase().replace(/../g, "%$&"),
  );
}

/** What is not valid percent encoding is kept as it is. */
export function decodeMessage(encoded: string): string {
  return encoded.replace(/(?:%[0-9a-f]{2})+/gi, (run) => Buffer.from(run.replaceAll("%", ""), "hex").toString());
}

/** The status for what a handler threw. What nobody foresaw is logged, and the peer learns no details. */
export function statusOfError(error: unknown, path: string, log: Log): Status {
  if (error instanceof GrpcError) return error.status;
  if (error instanceof KodiakError) return { code: codeOfFailure[error.failure.kind], message: error.message };
  log.error({ err: error, path }, "a gRPC call failed unexpectedly");
  return { code: grpcCode.internal, message: "internal error; see the server's log" };
}

export const codeOfFailure: Readonly<Record<Failure["kind"], number>> = {
  invalid: grpcCode.invalidArgument,
  "not-found": grpcCode.notFound,
  conflict: grpcCode.failedPrecondition,
  forbidden: grpcCode.permissionDenied,
  unauthenticated: grpcCode.unauthenticated,
  unavailable: grpcCode.unavailable,
  untrusted: grpcCode.unavailable,
};

/** The status of a stream that was reset by the peer: https://grpc.io/docs/guides/status-codes/ and PROTOCOL-HTTP2, "Errors". */
export function statusOfReset(code: number): Status {
  switch (code) {
    case http2.NGHTTP2_REFUSED_STREAM:
      return { code: grpcCode.unavailable, message: "the peer refused the stream" };
    case http2.NGHTTP2_CANCEL:
      return { code: grpcCode.cancelled, message: "the peer cancelled the stream" };
    case http2.NGHTTP2_ENHANCE_YOUR_CALM:
      return { code: grpcCode.resourceExhausted, message: "the peer asks for fewer requests" };
    case http2.NGHTTP2_INADEQUATE_SECURITY:
      return { code: grpcCode.permissionDenied, message: "the peer asks for better encryption" };
    default:
      return { code: grpcCode.internal, message: `the peer reset the stream with HTTP/2 error ${code}` };
  }
}

/** The status of an answer that is not gRPC, usually from something between: https://grpc.github.io/grpc/core/md_doc_http-grpc-status-mapping.html */
export function statusOfHttp(httpStatus: number): Status {
  const message = `the server answered with HTTP status ${httpStatus} instead of gRPC`;
  switch (httpStatus) {
    case 400:
      return { code: grpcCode.internal, message };
    case 401:
      return { code: grpcCode.unauthenticated, message };
    case 403:
      return { code: grpcCode.permissionDenied, message };
    case 404:
      return { code: grpcCode.unimplemented, message };
    case 429:
    case 502:
    case 503:
    case 504:
      return { code: grpcCode.unavailable, message };
    default:
      return { code: grpcCode.unknown, message };
  }
}
