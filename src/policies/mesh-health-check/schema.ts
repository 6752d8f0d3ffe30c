// MeshHealthCheck: instances are asked whether they are well.

import { z } from "zod";
import { atLeastOne, duration, headerValues, percentage, type SpecOf, targetRef } from "#policies/schema.ts";

const oneLine = z.string().regex(/^[^\0\r\n]*$/, "must be one line");

const http = z.object({
  disabled: z.boolean().optional(),
  path: z
    .string()
    .regex(/^\/[^\s\p{Cc}]*$/u, "must begin with / and have no spaces")
    .optional(),
  requestHeadersToAdd: z.object({ set: headerValues, add: headerValues }).optional(),
  expectedStatuses: z.array(z.int().min(100).max(599)).optional(),
});
export type HttpCheck = SpecOf<typeof http>;

const tcp = z.object({
  disabled: z.boolean().optional(),
  send: z.string().min(1).optional(),
  receive: z.array(z.string().min(1)).optional(),
});
export type TcpCheck = SpecOf<typeof tcp>;

const grpc = z.object({
  disabled: z.boolean().optional(),
  serviceName: z.string().optional(),
  authority: oneLine.optional(),
});
export type GrpcCheck = SpecOf<typeof grpc>;

const conf = z.object({
  interval: duration.optional(),
  timeout: duration.optional(),
  unhealthyThreshold: atLeastOne.optional(),
  healthyThreshold: atLeastOne.optional(),
  initialJitter: duration.optional(),
  intervalJitter: duration.optional(),
  intervalJitterPercent: z.int().min(0).max(100).optional(),
  noTrafficInterval: duration.optional(),
  healthyPanicThreshold: percentage.optional(),
  failTrafficOnPanic: z.boolean().optional(),
  reuseConnection: z.boolean().optional(),
  eventLogPath: z
    .string()
    .regex(/^\/[^\0]*$/, "must be the path of a file, from /")
    .optional(),
  alwaysLogHealthCheckFailures: z.boolean().optional(),
  http: http.optional(),
  tcp: tcp.optional(),
  grpc: grpc.optional(),
});
export type CheckConf = SpecOf<typeof conf>;

export const schema = z.object({
  targetRef: targetRef.optional(),
  to: z.array(z.object({ targetRef, default: conf.optional() })).optional(),
});
export type MeshHealthCheck = SpecOf<typeof schema>;
