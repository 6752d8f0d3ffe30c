// MeshPassthrough: what of the world outside the mesh applications may call that are redirected into Envoy.

import { z } from "zod";
import { type SpecOf, targetRef } from "#policies/schema.ts";

export const passthroughProtocols = ["tcp", "tls", "grpc", "http", "http2", "mysql"] as const;

const match = z.object({
  type: z.enum(["Domain", "IP", "CIDR"]),
  value: z.string(),
  port: z.int().min(1).max(65535).optional(),
  protocol: z.enum(passthroughProtocols).default("tcp"),
});
export type PassthroughMatch = SpecOf<typeof match>;

const conf = z.object({
  passthroughMode: z.enum(["All", "Matched", "None"]).optional(),
  appendMatch: z.array(match).optional(),
});
export type PassthroughConf = SpecOf<typeof conf>;

export const schema = z.object({ targetRef: targetRef.optional(), default: conf.optional() });
export type MeshPassthrough = SpecOf<typeof schema>;
