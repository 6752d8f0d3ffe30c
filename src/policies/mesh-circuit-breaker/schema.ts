// MeshCircuitBreaker: how much may be under way to a destination, and which of its instances are left out for a while.

import { z } from "zod";
import { atLeastOne, duration, percentage, type SpecOf, targetRef } from "#policies/schema.ts";

const connectionLimits = z.object({
  maxConnections: atLeastOne.optional(),
  maxConnectionPools: atLeastOne.optional(),
  maxPendingRequests: atLeastOne.optional(),
  maxRequests: atLeastOne.optional(),
  maxRetries: atLeastOne.optional(),
});
export type ConnectionLimits = SpecOf<typeof connectionLimits>;

const wholePercentage = z.int().min(0).max(100);
const failuresInARow = z.object({ consecutive: atLeastOne.optional() });

const detectors = z.object({
  totalFailures: failuresInARow.optional(),
  gatewayFailures: failuresInARow.optional(),
  localOriginFailures: failuresInARow.optional(),
  successRate: z
    .object({
      minimumHosts: atLeastOne.optional(),
      requestVolume: atLeastOne.optional(),
      standardDeviationFactor: z.union([z.number(), z.string()]).optional(),
    })
    .optional(),
  failurePercentage: z
    .object({
      minimumHosts: atLeastOne.optional(),
      requestVolume: atLeastOne.optional(),
      threshold: wholePercentage.optional(),
    })
    .optional(),
});
export type Detectors = SpecOf<typeof detectors>;

const outlierDetection = z.object({
  disabled: z.boolean().optional(),
  interval: duration.optional(),
  baseEjectionTime: duration.optional(),
  maxEjectionPercent: wholePercentage.optional(),
  splitExternalAndLocalErrors: z.boolean().optional(),
  detectors: detectors.optional(),
  healthyPanicThreshold: percentage.optional(),
});
export type OutlierDetection = SpecOf<typeof outlierDetection>;

const conf = z.object({
  connectionLimits: connectionLimits.optional(),
  outlierDetection: outlierDetection.optional(),
});
export type BreakerConf = SpecOf<typeof conf>;

export const schema = z.object({
  targetRef: targetRef.optional(),
  from: z.array(z.object({ targetRef, default: conf.optional() })).optional(),
  to: z.array(z.object({ targetRef, default: conf.optional() })).optional(),
  rules: z.array(z.object({ default: conf.optional() })).optional(),
});
export type MeshCircuitBreaker = SpecOf<typeof schema>;
