// Policies and proxies for tests, from what matters in the case at hand.

import type { JsonObject } from "#lib/json.ts";
import type { ProxyFacts } from "#policies/match.ts";
import { type Policy, parsePolicy } from "#policies/policy.ts";
import type { PolicySpec } from "#policies/schema.ts";
import type { Labels, Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

interface Written {
  readonly name?: string;
  readonly mesh?: string;
  readonly labels?: Labels;
  readonly spec: JsonObject;
}

export const written = (kind: string, { name = "p", mesh = "default", labels = {}, spec }: Written): Resource => ({
  kind,
  mesh,
  name,
  labels,
  spec,
  creationTime: zeroTime,
  modificationTime: zeroTime,
});

export function policyOf<Spec extends PolicySpec>(policy: Policy<Spec>, from: Written): Resource<Spec> {
  const parsed = parsePolicy(policy, written(policy.kind, from));
  if (!parsed) throw new Error(`not a ${policy.kind}: ${JSON.stringify(from.spec)}`);
  return parsed;
}

export const backendProxy: ProxyFacts = {
  mesh: "default",
  name: "backend-1",
  zone: "east",
  labels: { "kuma.io/origin": "zone", "kuma.io/zone": "east", "k8s.kuma.io/namespace": "shop", app: "backend" },
  isGateway: false,
  inbounds: [
    { section: "http", tags: { "kuma.io/service": "backend", version: "v1" } },
    { section: "8081", tags: { "kuma.io/service": "admin" } },
  ],
};
