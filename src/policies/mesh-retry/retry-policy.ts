// A conf of retries as Envoy's retry policy of a route.

import { any } from "#envoy/any.ts";
import type {
  HeaderMatcherJson,
  RetryPolicy_RateLimitedRetryBackOffJson,
  RetryPolicy_RetryBackOffJson,
  RetryPolicyJson,
} from "#gen/envoy/config/route/v3/route_components_pb.ts";
import { parseGoDuration, protoDuration } from "#lib/duration.ts";
import { headerMatcher } from "#policies/header-match.ts";
import { defaultConditions, grpcConditionsOf, httpConditionsOf } from "#policies/mesh-retry/conditions.ts";
import type { GrpcRetry, HostPredicate, HttpRetry, RateLimitedBackOff } from "#policies/mesh-retry/schema.ts";

/** `undefined`: nothing is tried again. */
export function httpRetryPolicy(conf: HttpRetry): RetryPolicyJson | undefined {
  if (conf.numRetries === 0) return undefined;
  const { retriableRequestHeaders = [], retriableResponseHeaders = [] } = conf;
  const { retryOn, statuses, methods } = httpConditionsOf(conf.retryOn ?? []);
  const conditions = [
    ...(retryOn.length > 0 ? retryOn : defaultConditions.http),
    ...(statuses.length > 0 ? ["retriable-status-codes"] : []),
    // Without this, Envoy takes no notice of the headers.
    ...(retriableResponseHeaders.length > 0 ? ["retriable-headers"] : []),
  ];
  const requests: HeaderMatcherJson[] = [
    ...methods.map((method) => ({ name: ":method", stringMatch: { exact: method } })),
    ...retriableRequestHeaders.map(headerMatcher),
  ];
  return {
    retryOn: conditions.join(","),
    ...attempts(conf),
    ...(statuses.length > 0 && { retriableStatusCodes: [...statuses] }),
    ...(requests.length > 0 && { retriableRequestHeaders: requests }),
    ...(retriableResponseHeaders.length > 0 && { retriableHeaders: retriableResponseHeaders.map(headerMatcher) }),
    ...hostSelection(conf.hostSelection, conf.hostSelectionMaxAttempts),
  };
}

/** `undefined`: nothing is tried again. */
export function grpcRetryPolicy(conf: GrpcRetry): RetryPolicyJson | undefined {
  if (conf.numRetries === 0) return undefined;
  const retryOn = grpcConditionsOf(conf.retryOn ?? []);
  return {
    retryOn: (retryOn.length > 0 ? retryOn : defaultConditions.grpc).join(","),
    ...attempts(conf),
    ...hostSelection(),
  };
}

const attempts = ({ numRetries, perTryTimeout, backOff, rateLimitedBackOff }: HttpRetry | GrpcRetry) => ({
  ...(numRetries !== undefined && { numRetries }),
  ...(perTryTimeout !== undefined && { perTryTimeout: proto(perTryTimeout) }),
  ...(backOff && { retryBackOff: retryBackOff(backOff) }),
  ...(rateLimitedBackOff && { rateLimitedRetryBackOff: rateLimited(rateLimitedBackOff) }),
});

const defaultBaseMs = 25;

/** Envoy refuses all routes of a service for a base above the maximum, and the two may come from different policies: then the
 * base counts if it is said, else the maximum. */
function retryBackOff({ baseInterval, maxInterval }: NonNullable<HttpRetry["backOff"]>): RetryPolicy_RetryBackOffJson {
  const max = maxInterval === undefined ? undefined : milliseconds(maxInterval);
  const base = baseInterval === undefined ? Math.min(defaultBaseMs, max ?? defaultBaseMs) : milliseconds(baseInterval);
  return {
    baseInterval: protoDuration(base),
    ...(max !== undefined && { maxInterval: protoDuration(Math.max(base, max)) }),
  };
}

const resetFormat = { Seconds: "SECONDS", UnixTimestamp: "UNIX_TIMESTAMP" } as const;

const rateLimited = ({
  resetHeaders = [],
  maxInterval,
}: RateLimitedBackOff): RetryPolicy_RateLimitedRetryBackOffJson => ({
  resetHeaders: resetHeaders.map(({ name, format }) => ({ name, format: resetFormat[format] })),
  ...(maxInterval !== undefined && { maxInterval: proto(maxInterval) }),
});

/** An instance that has just failed is no good second choice; so often another is looked for. */
const elsewhere: readonly HostPredicate[] = [{ predicate: "OmitPreviousHosts" }];
const lookElsewhere = 5;

function hostSelection(predicates = elsewhere, maxAttempts?: number): RetryPolicyJson {
  const attempts = maxAttempts ?? (predicates === elsewhere ? lookElsewhere : undefined);
  const hosts: NonNullable<RetryPolicyJson["retryHostPredicate"]> = [];
  let priority: RetryPolicyJson["retryPriority"];
  for (const { predicate, tags = {}, updateFrequency = 2 } of predicates)
    switch (predicate) {
      case "OmitPreviousHosts":
        hosts.push({
          name: "envoy.retry_host_predicates.previous_hosts",
          typedConfig: any("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate", {}),
        });
        break;
      case "OmitHostsWithTags":
        hosts.push({
          name: "envoy.retry_host_predicates.omit_host_metadata",
          typedConfig: any("envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig", {
            metadataMatch: { filterMetadata: { "envoy.lb": { ...tags } } },
          }),
        });
        break;
      case "OmitPreviousPriorities":
        priority = {
          name: "envoy.retry_priorities.previous_priorities",
          typedConfig: any("envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig", {
            updateFrequency,
          }),
        };
        break;
    }
  return {
    ...(hosts.length > 0 && { retryHostPredicate: hosts }),
    ...(priority && { retryPriority: priority }),
    ...(attempts !== undefined && { hostSelectionRetryMaxAttempts: String(attempts) }),
  };
}

/** The text is a duration: the schema saw to it. */
const milliseconds = (text: string): number => parseGoDuration(text) ?? 0;
const proto = (text: string): string => protoDuration(milliseconds(text));
