// What a zone's call says of itself, and how it ends.

import { codeOfFailure } from "#host/grpc-status.ts";
import { type CallInfo, GrpcError, grpcCode, type Status } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import { isDnsName } from "#resources/meta.ts";

/** The zone that calls, as it says. Throws where it doesn't. */
export function zoneOf(call: CallInfo, isSync = false): string {
  const zone = call.headers["client-id"]?.[0] ?? "";
  if (zone === "") {
    // Kuma's two codes for the same.
    const code = isSync ? grpcCode.unknown : grpcCode.invalidArgument;
    throw new GrpcError({ code, message: '"client-id" is not present in metadata' });
  }
  if (!isDnsName(zone)) {
    const message = `zone name ${JSON.stringify(zone)} must be a DNS name: a–z, 0–9, "-" and "."`;
    throw new GrpcError({ code: grpcCode.invalidArgument, message });
  }
  return zone;
}

/** Zones are told what failed, also where nobody foresaw it: their operators see no log of global. */
export function statusOf(error: unknown): Status {
  if (error instanceof GrpcError) return error.status;
  if (error instanceof KodiakError) return { code: codeOfFailure[error.failure.kind], message: error.message };
  return { code: grpcCode.internal, message: error instanceof Error ? error.message : String(error) };
}
