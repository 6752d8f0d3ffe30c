// The policies that are acted on, in the order in which they are applied (`order` in interop 1.7).

import { meshCircuitBreaker } from "#policies/mesh-circuit-breaker/translate.ts";
import { meshHealthCheck } from "#policies/mesh-health-check/translate.ts";
import { meshHttpRoute } from "#policies/mesh-http-route/translate.ts";
import { meshLoadBalancingStrategy } from "#policies/mesh-load-balancing-strategy/translate.ts";
import { meshPassthrough } from "#policies/mesh-passthrough/translate.ts";
import { meshRetry } from "#policies/mesh-retry/translate.ts";
import { meshTcpRoute } from "#policies/mesh-tcp-route/translate.ts";
import { meshTimeout } from "#policies/mesh-timeout/translate.ts";
import { meshTrafficPermission } from "#policies/mesh-traffic-permission/translate.ts";
import type { Policy } from "#policies/policy.ts";

export const policies: readonly Policy[] = [
  meshHttpRoute,
  meshTcpRoute,
  meshLoadBalancingStrategy,
  meshTimeout,
  meshTrafficPermission,
  meshHealthCheck,
  meshCircuitBreaker,
  meshRetry,
  meshPassthrough,
];

export const findPolicy = (kind: string): Policy | undefined => policies.find((policy) => policy.kind === kind);
