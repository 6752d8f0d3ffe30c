// The access log service of Envoy's agent: what permissions deny, as lines of the log. The first of its kind is logged at once, what
// repeats is counted and told every 10 s: a caller that tries again and again must not fill the log.

import { type Denial, denialsIn } from "#agent/denial.ts";
import { alarmsOf } from "#host/alarm.ts";
import { type GrpcSocket, serveGrpcOnSocket } from "#host/grpc-socket.ts";
import type { Log } from "#host/log.ts";

const method = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
const everyMs = 10_000;
/** Different ones within that time; more are only counted. */
const mostKinds = 1_000;

/** Rings once; nothing waits for it. */
export type After = (ms: number, ring: () => void) => void;
const alarm = alarmsOf(Date.now);
const after: After = (ms, ring) => void alarm(Date.now() + ms, ring);

/** `serviceAt`: the service of an inbound, by its port. */
export async function serveDenials(
  socketPath: string,
  serviceAt: (port: number) => string | undefined,
  log: Log,
): Promise<GrpcSocket> {
  const told = tellDenials(serviceAt, log, after);
  const onMessage = (bytes: Uint8Array): void => denialsIn(bytes).forEach(told.add);
  const socket = await serveGrpcOnSocket(socketPath, { [method]: (stream) => stream.onMessage(onMessage) }, log);
  return { close: () => socket.close().then(told.flush) };
}

export interface ToldDenials {
  add(denial: Denial): void;
  /** What was counted is told. */
  flush(): void;
}

export function tellDenials(serviceAt: (port: number) => string | undefined, log: Log, after: After): ToldDenials {
  const kinds = new Map<string, { last: Denial; repeated: number }>();
  let others = 0;
  return {
    add(denial) {
      if (kinds.size === 0) after(everyMs, flush);
      const { what, verdict, why, caller, inboundPort } = denial;
      const key = JSON.stringify([what, verdict, why, caller, inboundPort]);
      const known = kinds.get(key);
      if (known) {
        known.last = denial;
        known.repeated++;
      } else if (kinds.size >= mostKinds) others++;
      else {
        kinds.set(key, { last: denial, repeated: 0 });
        tell(denial, {});
      }
    },
    flush,
  };

  function flush(): void {
    for (const { last, repeated } of kinds.values()) if (repeated > 0) tell(last, { repeated });
    if (others > 0) log.warn({ others }, "more was denied than could be told apart");
    kinds.clear();
    others = 0;
  }

  function tell({ what, verdict, why, inboundPort, ...rest }: Denial, count: { readonly repeated?: number }): void {
    const service = inboundPort === undefined ? undefined : serviceAt(inboundPort);
    const place = { ...(service !== undefined && { service }), ...(inboundPort !== undefined && { inboundPort }) };
    const reason = verdict === "untrusted" ? { reason: why } : { policy: why };
    const fields = { ...rest, ...place, ...reason, ...count };
    switch (verdict) {
      case "denied":
        log.warn(
          fields,
          `denied a ${what}: ${why === "none" ? "no MeshTrafficPermission allows it" : "by permission"}`,
        );
        break;
      case "shadow":
        log.info(fields, `let through a ${what} that AllowWithShadowDeny would deny`);
        break;
      case "untrusted":
        log.warn(fields, `refused a ${what}: TLS failed`);
    }
  }
}
