// MeshLoadBalancingStrategy: which instance a request goes to, by where it is and by what is in the request.

import { z } from "zod";
import { atLeastOne, duration, percentage, type SpecOf, targetRef } from "#policies/schema.ts";

const headerName = z.string().regex(/^[^\0\r\n]+$/, "must be the name of a header");
const name = z.string().min(1);

const hashPolicy = z.object({
  type: z.enum(["Header", "Cookie", "Connection", "SourceIP", "QueryParameter", "FilterState"]),
  terminal: z.boolean().optional(),
  header: z.object({ name: headerName }).optional(),
  cookie: z
    .object({
      name: z.string().regex(/^[^\0\r\n]+$/, "must be the name of a cookie"),
      ttl: duration.optional(),
      path: z
        .string()
        .regex(/^\/[^\0\r\n]*$/, "must begin with /")
        .optional(),
    })
    .optional(),
  connection: z.object({ sourceIP: z.boolean().optional() }).optional(),
  queryParameter: z.object({ name }).optional(),
  filterState: z.object({ key: name }).optional(),
});
export type HashPolicy = SpecOf<typeof hashPolicy>;
const hashPolicies = z.array(hashPolicy).optional();

const ringSize = z.int().min(1).max(8_000_000).optional();
export const largestTable = 5_000_011;

const loadBalancer = z.object({
  type: z.enum(["RoundRobin", "LeastRequest", "RingHash", "Random", "Maglev"]),
  roundRobin: z.object({}).optional(),
  leastRequest: z
    .object({
      choiceCount: z
        .int()
        .min(2)
        .max(2 ** 31 - 1)
        .optional(),
      activeRequestBias: z.union([z.number(), z.string()]).optional(),
    })
    .optional(),
  ringHash: z
    .object({
      hashFunction: z.enum(["XXHash", "MurmurHash2"]).optional(),
      minRingSize: ringSize,
      maxRingSize: ringSize,
      hashPolicies,
    })
    .optional(),
  random: z.object({}).optional(),
  maglev: z.object({ tableSize: z.int().min(1).max(largestTable).optional(), hashPolicies }).optional(),
});
export type LoadBalancer = SpecOf<typeof loadBalancer>;

const failover = z.object({
  from: z.object({ zones: z.array(name).min(1) }).optional(),
  to: z.object({ type: z.enum(["None", "Only", "Any", "AnyExcept"]), zones: z.array(name).optional() }),
});
export type Failover = SpecOf<typeof failover>;

const localityAwareness = z.object({
  disabled: z.boolean().optional(),
  localZone: z
    .object({ affinityTags: z.array(z.object({ key: name, weight: atLeastOne.optional() })).optional() })
    .optional(),
  crossZone: z
    .object({
      failover: z.array(failover).optional(),
      failoverThreshold: z.object({ percentage }).optional(),
    })
    .optional(),
});
export type LocalityAwareness = SpecOf<typeof localityAwareness>;

const conf = z.object({
  hashPolicies,
  loadBalancer: loadBalancer.optional(),
  localityAwareness: localityAwareness.optional(),
});
export type StrategyConf = SpecOf<typeof conf>;

export const schema = z.object({
  targetRef: targetRef.optional(),
  to: z.array(z.object({ targetRef, default: conf.optional() })).optional(),
});
export type MeshLoadBalancingStrategy = SpecOf<typeof schema>;
