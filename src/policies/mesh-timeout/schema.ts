// MeshTimeout: how long connecting, a request and silence may take.

import { z } from "zod";
import { clientMatch, duration, type SpecOf, targetRef } from "#policies/schema.ts";

const conf = z.object({
  connectionTimeout: duration.optional(),
  idleTimeout: duration.optional(),
  http: z
    .object({
      requestTimeout: duration.optional(),
      requestHeadersTimeout: duration.optional(),
      streamIdleTimeout: duration.optional(),
      maxStreamDuration: duration.optional(),
      maxConnectionDuration: duration.optional(),
    })
    .optional(),
});
export type TimeoutConf = SpecOf<typeof conf>;

export const schema = z.object({
  targetRef: targetRef.optional(),
  from: z.array(z.object({ targetRef, default: conf.optional() })).optional(),
  to: z.array(z.object({ targetRef, default: conf.optional() })).optional(),
  rules: z.array(z.object({ matches: z.array(clientMatch).optional(), default: conf.optional() })).optional(),
});
export type MeshTimeout = SpecOf<typeof schema>;
