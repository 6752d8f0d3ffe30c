// What a MeshCircuitBreaker must say besides its shape.

import { parseGoDuration } from "#lib/duration.ts";
import { at, type Issue } from "#lib/issue.ts";
import type {
  BreakerConf,
  Detectors,
  MeshCircuitBreaker,
  OutlierDetection,
} from "#policies/mesh-circuit-breaker/schema.ts";

type Path = readonly (string | number)[];
const issue = (path: Path, message: string): Issue => ({ path: at(...path), message });

export const checkBreakers = (spec: MeshCircuitBreaker): readonly Issue[] =>
  (["from", "to", "rules"] as const).flatMap((part) =>
    (spec[part] ?? []).flatMap((entry, i) => confIssues(entry.default ?? {}, ["spec", part, i, "default"])),
  );

function confIssues({ connectionLimits, outlierDetection }: BreakerConf, path: Path): readonly Issue[] {
  if (!connectionLimits && !outlierDetection) return [issue(path, "must have connectionLimits or outlierDetection")];
  return outlierDetection ? outlierIssues(outlierDetection, [...path, "outlierDetection"]) : [];
}

/** What Envoy counts in: less is nothing. */
const millisecond = 1;

function outlierIssues(said: OutlierDetection, path: Path): readonly Issue[] {
  const { detectors, disabled = false, healthyPanicThreshold } = said;
  const tooShort = (["interval", "baseEjectionTime"] as const)
    .filter((name) => (parseGoDuration(said[name] ?? "1s") ?? 0) < millisecond)
    .map((name) => issue([...path, name], "must be 1ms or more"));
  const where = [...path, "detectors"];
  if (detectors) return [...tooShort, ...detectorIssues(detectors, where)];
  const saysMore = disabled || healthyPanicThreshold !== undefined;
  return saysMore ? tooShort : [...tooShort, issue(where, "is required: without one no instance is ever left out")];
}

function detectorIssues(detectors: Detectors, path: Path): readonly Issue[] {
  if (Object.values(detectors).every((value) => value === undefined))
    return [
      issue(path, "must have totalFailures, gatewayFailures, localOriginFailures, successRate or failurePercentage"),
    ];
  const factor = detectors.successRate?.standardDeviationFactor;
  if (factor === undefined || isFactor(factor)) return [];
  return [
    issue(
      [...path, "successRate", "standardDeviationFactor"],
      'must be a number from 0.001 to 1000, a decimal in quotes, like "1.9"',
    ),
  ];
}

/** Envoy counts it in thousandths. */
function isFactor(factor: number | string): boolean {
  const isWritten = typeof factor === "string" ? /^\d+(\.\d+)?$/.test(factor) : Number.isInteger(factor);
  return isWritten && Number(factor) >= 0.001 && Number(factor) <= 1000;
}
