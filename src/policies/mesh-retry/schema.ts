// MeshRetry: what is tried again, how often, when and where.

import { z } from "zod";
import { headerMatch } from "#policies/header-match.ts";
import { duration, headerName, type SpecOf, targetRef } from "#policies/schema.ts";

const most32 = 2 ** 31 - 1;
const count = z.int().min(0).max(most32);

const backOff = z.object({ baseInterval: duration.optional(), maxInterval: duration.optional() });
const rateLimitedBackOff = z.object({
  resetHeaders: z.array(z.object({ name: headerName, format: z.enum(["Seconds", "UnixTimestamp"]) })).optional(),
  maxInterval: duration.optional(),
});
export type RateLimitedBackOff = SpecOf<typeof rateLimitedBackOff>;

/** What HTTP and gRPC have in common. */
const attempts = {
  numRetries: count.optional(),
  perTryTimeout: duration.optional(),
  backOff: backOff.optional(),
  rateLimitedBackOff: rateLimitedBackOff.optional(),
};

const grpcConditions = ["Canceled", "DeadlineExceeded", "Internal", "ResourceExhausted", "Unavailable"] as const;
const grpc = z.object({ ...attempts, retryOn: z.array(z.enum(grpcConditions)).optional() });
export type GrpcRetry = SpecOf<typeof grpc>;

const predicate = z.object({
  predicate: z.enum(["OmitPreviousHosts", "OmitHostsWithTags", "OmitPreviousPriorities"]),
  tags: z.record(z.string(), z.string()).optional(),
  updateFrequency: z.int().max(most32).optional(),
});
export type HostPredicate = SpecOf<typeof predicate>;

const http = z.object({
  ...attempts,
  retryOn: z.array(z.string()).optional(),
  retriableRequestHeaders: z.array(headerMatch).optional(),
  retriableResponseHeaders: z.array(headerMatch).optional(),
  hostSelection: z.array(predicate).optional(),
  hostSelectionMaxAttempts: count.optional(),
});
export type HttpRetry = SpecOf<typeof http>;

const conf = z.object({
  http: http.optional(),
  grpc: grpc.optional(),
  tcp: z.object({ maxConnectAttempt: count.optional() }).optional(),
});
export type RetryConf = SpecOf<typeof conf>;

export const schema = z.object({
  targetRef: targetRef.optional(),
  to: z.array(z.object({ targetRef, default: conf.optional() })).optional(),
});
export type MeshRetry = SpecOf<typeof schema>;
