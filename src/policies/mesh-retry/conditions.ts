// What makes a request worth another try: each condition of `retryOn`, as Envoy calls it.

import type { GrpcRetry } from "#policies/mesh-retry/schema.ts";

/** https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on */
const httpConditions: ReadonlyMap<string, string> = new Map([
  ["5xx", "5xx"],
  ["GatewayError", "gateway-error"],
  ["Reset", "reset"],
  ["Retriable4xx", "retriable-4xx"],
  ["ConnectFailure", "connect-failure"],
  ["EnvoyRatelimited", "envoy-ratelimited"],
  ["RefusedStream", "refused-stream"],
  ["Http3PostConnectFailure", "http3-post-connect-failure"],
]);

const methods: ReadonlyMap<string, string> = new Map(
  ["Connect", "Delete", "Get", "Head", "Options", "Patch", "Post", "Put", "Trace"].map((name) => [
    `HttpMethod${name}`,
    name.toUpperCase(),
  ]),
);

const isStatus = (text: string): boolean => /^[1-5]\d\d$/.test(text);

export const isHttpCondition = (text: string): boolean =>
  httpConditions.has(text) || methods.has(text) || isStatus(text);

export const conditionsText = `${[...httpConditions.keys(), ...methods.keys()].join(", ")} or a status like "503"`;

export interface HttpConditions {
  readonly retryOn: readonly string[];
  readonly statuses: readonly number[];
  /** Only requests with one of these are tried again. */
  readonly methods: readonly string[];
}

export const httpConditionsOf = (retryOn: readonly string[]): HttpConditions => ({
  retryOn: retryOn.flatMap((text) => httpConditions.get(text) ?? []),
  statuses: retryOn.filter(isStatus).map(Number),
  methods: retryOn.flatMap((text) => methods.get(text) ?? []),
});

const grpcConditions: Readonly<Record<NonNullable<GrpcRetry["retryOn"]>[number], string>> = {
  Canceled: "cancelled",
  DeadlineExceeded: "deadline-exceeded",
  Internal: "internal",
  ResourceExhausted: "resource-exhausted",
  Unavailable: "unavailable",
};
export const grpcConditionsOf = (retryOn: NonNullable<GrpcRetry["retryOn"]>): readonly string[] =>
  retryOn.map((condition) => grpcConditions[condition]);

/** Where a policy names none. */
export const defaultConditions = {
  http: ["gateway-error", "connect-failure", "refused-stream"],
  grpc: [
    "cancelled",
    "connect-failure",
    "gateway-error",
    "refused-stream",
    "reset",
    "resource-exhausted",
    "unavailable",
  ],
} as const;
