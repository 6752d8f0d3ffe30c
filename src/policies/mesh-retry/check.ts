// What a MeshRetry must say besides its shape.

import { parseGoDuration } from "#lib/duration.ts";
import { at, type Issue } from "#lib/issue.ts";
import { headerMatchIssues } from "#policies/header-match.ts";
import { conditionsText, isHttpCondition } from "#policies/mesh-retry/conditions.ts";
import type {
  GrpcRetry,
  HostPredicate,
  HttpRetry,
  MeshRetry,
  RateLimitedBackOff,
  RetryConf,
} from "#policies/mesh-retry/schema.ts";

type Path = readonly (string | number)[];
const issue = (path: Path, message: string): Issue => ({ path: at(...path), message });

export const checkRetries = (spec: MeshRetry): readonly Issue[] =>
  (spec.to ?? []).flatMap((entry, i) => confIssues(entry.default ?? {}, ["spec", "to", i, "default"]));

function confIssues({ tcp, http, grpc }: RetryConf, path: Path): readonly Issue[] {
  if (!tcp && !http && !grpc) return [issue(path, "must have http, grpc or tcp")];
  return [
    ...(tcp ? tcpIssues(tcp, [...path, "tcp"]) : []),
    ...(http ? httpIssues(http, [...path, "http"]) : []),
    ...(grpc ? attemptIssues(grpc, [...path, "grpc"]) : []),
  ];
}

function tcpIssues({ maxConnectAttempt }: NonNullable<RetryConf["tcp"]>, path: Path): readonly Issue[] {
  const where = [...path, "maxConnectAttempt"];
  if (maxConnectAttempt === undefined) return [issue(where, "is required with tcp")];
  return maxConnectAttempt === 0 ? [issue(where, "must be 1 or more: the first attempt counts")] : [];
}

function httpIssues(http: HttpRetry, path: Path): readonly Issue[] {
  const { retryOn = [], retriableRequestHeaders = [], retriableResponseHeaders = [], hostSelection = [] } = http;
  return [
    ...attemptIssues(http, path),
    ...retryOn.flatMap((condition, i) =>
      isHttpCondition(condition) ? [] : [issue([...path, "retryOn", i], `must be one of ${conditionsText}`)],
    ),
    ...retriableRequestHeaders.flatMap((one, i) => headerMatchIssues(one, [...path, "retriableRequestHeaders", i])),
    ...retriableResponseHeaders.flatMap((one, i) => headerMatchIssues(one, [...path, "retriableResponseHeaders", i])),
    ...hostSelectionIssues(hostSelection, [...path, "hostSelection"]),
  ];
}

/** What HTTP and gRPC have in common. */
function attemptIssues(conf: HttpRetry | GrpcRetry, path: Path): readonly Issue[] {
  const { perTryTimeout, backOff, rateLimitedBackOff } = conf;
  if (Object.values(conf).every((value) => value === undefined))
    return [issue(path, "must say something of retries, or be left out")];
  const issues: Issue[] = [];
  if ((milliseconds(perTryTimeout) ?? 0) < 0)
    issues.push(issue([...path, "perTryTimeout"], "must not be negative; 0s is no limit"));
  if (backOff) {
    const { baseInterval, maxInterval } = backOff;
    if (baseInterval === undefined && maxInterval === undefined)
      issues.push(issue([...path, "backOff"], "must have baseInterval or maxInterval"));
    issues.push(...positive(baseInterval, [...path, "backOff", "baseInterval"]));
    issues.push(...positive(maxInterval, [...path, "backOff", "maxInterval"]));
  }
  if (rateLimitedBackOff) issues.push(...rateLimitedIssues(rateLimitedBackOff, [...path, "rateLimitedBackOff"]));
  return issues;
}

const rateLimitedIssues = ({ resetHeaders = [], maxInterval }: RateLimitedBackOff, path: Path): readonly Issue[] => [
  ...(resetHeaders.length === 0 ? [issue([...path, "resetHeaders"], "must have 1 item or more")] : []),
  ...positive(maxInterval, [...path, "maxInterval"]),
];

/** Less is nothing to Go and Envoy. */
const nanosecondMs = 1e-6;
const milliseconds = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : parseGoDuration(text);
const positive = (text: string | undefined, path: Path): readonly Issue[] =>
  (milliseconds(text) ?? 1) < nanosecondMs ? [issue(path, "must be greater than 0s")] : [];

function hostSelectionIssues(predicates: readonly HostPredicate[], path: Path): readonly Issue[] {
  const ofPriorities = predicates.flatMap(({ predicate }, i) => (predicate === "OmitPreviousPriorities" ? [i] : []));
  return [
    ...predicates.flatMap((one, i) => predicateIssues(one, [...path, i])),
    ...ofPriorities
      .slice(1)
      .map((i) => issue([...path, i, "predicate"], "must not be given twice: OmitPreviousPriorities")),
  ];
}

function predicateIssues({ predicate, tags, updateFrequency = 1 }: HostPredicate, path: Path): readonly Issue[] {
  switch (predicate) {
    case "OmitPreviousHosts":
      return [];
    case "OmitHostsWithTags":
      return tags ? [] : [issue([...path, "tags"], `is required with predicate ${predicate}`)];
    case "OmitPreviousPriorities":
      return updateFrequency > 0 ? [] : [issue([...path, "updateFrequency"], "must be 1 or more")];
  }
}
