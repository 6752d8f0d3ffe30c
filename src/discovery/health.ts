// One Envoy's health discovery stream (HDS) as a state machine: what it is asked to check, and what it last said of that. Envoy repeats all
// that it knows in each report, at the interval that it was given; only what is different is news.
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/health/v3/hds.proto

import { HealthStatus } from "#gen/envoy/config/core/v3/health_check_pb.ts";
import type {
  EndpointHealth,
  EndpointHealthResponse,
  HealthCheckSpecifierJson,
} from "#gen/envoy/service/health/v3/hds_pb.ts";
import { isEqual } from "#lib/json.ts";

/** By name of the cluster that is checked. */
export type Health = ReadonlyMap<string, boolean>;

export interface HealthState {
  /** What Envoy was asked for; `undefined`: nothing yet. */
  readonly asked: HealthCheckSpecifierJson | undefined;
  readonly health: Health;
}

export type HealthEvent =
  | { readonly kind: "wanted"; readonly specifier: HealthCheckSpecifierJson | undefined }
  | { readonly kind: "report"; readonly report: EndpointHealthResponse };

export interface HealthStep {
  readonly next: HealthState;
  readonly send?: HealthCheckSpecifierJson;
  /** `next.health` says something else than before. */
  readonly isNews: boolean;
}

export const newHealth: HealthState = { asked: undefined, health: new Map() };

/** Who is asked for nothing still reports, as often as it is told to. */
const nothing: HealthCheckSpecifierJson = { interval: "3600s", clusterHealthChecks: [] };

export function healthStep(state: HealthState, event: HealthEvent): HealthStep {
  switch (event.kind) {
    case "wanted": {
      const send = event.specifier ?? (state.asked && nothing);
      if (!send || isEqual(send, state.asked)) return { next: state, isNews: false };
      const health = new Map([...state.health].filter(([name]) => isChecked(send, name)));
      return { next: { asked: send, health }, send, isNews: health.size < state.health.size };
    }
    case "report": {
      const { asked = nothing } = state;
      // A report that was on its way when something else was asked for is not about that.
      const said = [...healthIn(event.report)].filter(([name]) => isChecked(asked, name));
      const health = new Map([...state.health, ...said]);
      const isNews = said.some(([name, isHealthy]) => state.health.get(name) !== isHealthy);
      return { next: isNews ? { ...state, health } : state, isNews };
    }
  }
}

const isChecked = ({ clusterHealthChecks = [] }: HealthCheckSpecifierJson, name: string): boolean =>
  clusterHealthChecks.some(({ clusterName }) => clusterName === name);

const healthIn = (report: EndpointHealthResponse): Health =>
  new Map(
    report.clusterEndpointsHealth.map(({ clusterName, localityEndpointsHealth }) => [
      clusterName,
      localityEndpointsHealth.every(({ endpointsHealth }) => endpointsHealth.every(isHealthy)),
    ]),
  );

/** As with Kuma, also what Envoy does not know yet. */
const isHealthy = ({ healthStatus }: EndpointHealth): boolean =>
  healthStatus === HealthStatus.HEALTHY || healthStatus === HealthStatus.UNKNOWN;
