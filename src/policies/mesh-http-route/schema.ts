// MeshHTTPRoute: which requests to a destination go where, and what is changed of them on the way.

import { z } from "zod";
import { headerMatch } from "#policies/header-match.ts";
import { backendRef, headerName, headerValues, percentage, type SpecOf, targetRef } from "#policies/schema.ts";
import { isDnsName } from "#resources/meta.ts";

const match = z.object({
  path: z.object({ value: z.string().min(1), type: z.enum(["Exact", "PathPrefix", "RegularExpression"]) }).optional(),
  method: z.enum(["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]).optional(),
  queryParams: z
    .array(z.object({ type: z.enum(["Exact", "RegularExpression"]), name: z.string().min(1), value: z.string() }))
    .optional(),
  headers: z.array(headerMatch).optional(),
});
export type RequestMatch = SpecOf<typeof match>;

const headerModifier = z.object({
  set: headerValues,
  add: headerValues,
  remove: z.array(headerName).max(16).optional(),
});
export type HeaderModifier = SpecOf<typeof headerModifier>;

const path = z.object({
  type: z.enum(["ReplaceFullPath", "ReplacePrefixMatch"]),
  replaceFullPath: z.string().optional(),
  replacePrefixMatch: z.string().optional(),
});
export type PathRewrite = SpecOf<typeof path>;

const hostname = z
  .string()
  .refine(isDnsName, "must be a DNS name, like backend.example.com")
  .refine((name) => !/^[\d.]+$/.test(name), "must be a DNS name, not an IP address");

const filter = z.object({
  type: z.enum(["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "RequestMirror"]),
  requestHeaderModifier: headerModifier.optional(),
  responseHeaderModifier: headerModifier.optional(),
  requestRedirect: z
    .object({
      scheme: z.enum(["http", "https"]).optional(),
      hostname: hostname.optional(),
      port: z.int().min(1).max(65535).optional(),
      path: path.optional(),
      statusCode: z.literal([301, 302, 303, 307, 308]).optional(),
    })
    .optional(),
  urlRewrite: z
    .object({ hostname: hostname.optional(), path: path.optional(), hostToBackendHostname: z.boolean().optional() })
    .optional(),
  requestMirror: z.object({ percentage: percentage.optional(), backendRef }).optional(),
});
export type Filter = SpecOf<typeof filter>;

const rule = z.object({
  matches: z.array(match).min(1),
  default: z.object({ filters: z.array(filter).optional(), backendRefs: z.array(backendRef).optional() }),
});
export type Rule = SpecOf<typeof rule>;

export const schema = z.object({
  targetRef: targetRef.optional(),
  to: z.array(z.object({ targetRef, hostnames: z.array(z.string()).optional(), rules: z.array(rule) })).optional(),
});
export type MeshHTTPRoute = SpecOf<typeof schema>;
