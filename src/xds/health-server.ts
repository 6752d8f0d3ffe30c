// The health discovery server for this zone's Envoys (HDS): what each is asked to check, and what it says of it. A report that says the same
// as the one before ends here.

import { create, fromJson, toBinary } from "@bufbuild/protobuf";
import { type Health, type HealthEvent, healthStep, newHealth } from "#discovery/health.ts";
import type { AddressJson } from "#gen/envoy/config/core/v3/address_pb.ts";
import {
  type HealthCheckRequest,
  HealthCheckRequestOrEndpointHealthResponseSchema,
  HealthCheckSpecifierSchema,
} from "#gen/envoy/service/health/v3/hds_pb.ts";
import type { Log } from "#host/log.ts";
import { type Clock, grpcCode, type ServerStream } from "#host/world.ts";
import type { Changes, Collection } from "#incremental/collection.ts";
import { KodiakError } from "#lib/failure.ts";
import { healthCheckSpecifier } from "#proxy/health-checks.ts";
import type { Probe } from "#topology/probe.ts";
import { openStream } from "#xds/open-stream.ts";

export const hdsPath = "/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck";

/** An Envoy that was let in. */
export interface Checking {
  /** Of its Dataplane. */
  readonly key: string;
  /** Absent: its Envoy is not asked for its own health. */
  readonly admin: AddressJson | undefined;
  readonly isTransparent: boolean;
  /** Called when something of it is different from before. */
  onHealth(health: Health): void;
  /** Called once, when its stream has ended. */
  onGone(): void;
}

export interface HealthServerOptions {
  readonly log: Log;
  readonly clock: Pick<Clock, "now" | "alarm">;
  /** By key of the Dataplane. */
  readonly probes: Collection<readonly Probe[]>;
  /** Checks a stream's first request; rejects with a failure that is told to the proxy. */
  admit(first: HealthCheckRequest, stream: ServerStream): Promise<Checking>;
}

export interface HealthServer {
  serve(stream: ServerStream): void;
  publish(changes: Changes): void;
}

interface Attached {
  readonly stream: ServerStream;
  want(): void;
}

export function healthServer({ log, clock, probes, admit }: HealthServerOptions): HealthServer {
  const attached = new Map<string, Attached>();

  function attach(stream: ServerStream, { key, admin, isTransparent, onHealth, onGone }: Checking) {
    let state = newHealth;
    const take = (event: HealthEvent): void => {
      const { next, send, isNews } = healthStep(state, event);
      state = next;
      if (send) stream.send([toBinary(HealthCheckSpecifierSchema, fromJson(HealthCheckSpecifierSchema, send))]);
      if (isNews) onHealth(state.health);
    };
    const own: Attached = {
      stream,
      want() {
        const wanted = probes.get(key) ?? [];
        const isNothing = wanted.length === 0 && !admin;
        const specifier = isNothing ? undefined : healthCheckSpecifier({ probes: wanted, admin, isTransparent });
        take({ kind: "wanted", specifier });
      },
    };
    // As on ADS: one that comes again before its old connection was noticed to be dead is not kept waiting.
    attached.get(key)?.stream.end({
      code: grpcCode.unavailable,
      message: "the same proxy has opened a newer stream",
    });
    attached.set(key, own);
    own.want();
    return {
      request({ requestType }: typeof empty) {
        if (requestType.case === "endpointHealthResponse") take({ kind: "report", report: requestType.value });
      },
      // A specifier is small, and seldom another one.
      drained() {},
      ended() {
        if (attached.get(key) === own) attached.delete(key);
        onGone();
      },
    };
  }

  return {
    serve: (stream) =>
      openStream(stream, {
        ...{ path: hdsPath, schema: HealthCheckRequestOrEndpointHealthResponseSchema, clock, log },
        async admit({ requestType }) {
          if (requestType.case === "healthCheckRequest") return admit(requestType.value, stream);
          const issues = [{ path: "", message: "must be a HealthCheckRequest with the node" }];
          throw new KodiakError({ kind: "invalid", what: "the first message of the stream", issues });
        },
        attach: (checking) => attach(stream, checking),
        abandon: ({ onGone }) => onGone(),
      }),
    publish(changes) {
      for (const key of changes.get(probes) ?? []) attached.get(key)?.want();
    },
  };
}

const empty = create(HealthCheckRequestOrEndpointHealthResponseSchema);
