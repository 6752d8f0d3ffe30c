// What a proxy's agent says to its control plane: give me a bootstrap (interop 6.2), and I am leaving. All else is between
// Envoy and the control plane.

import { parse } from "yaml";
import { z } from "zod";
import type { AdminAddress } from "#agent/admin.ts";
import { pauseUnless } from "#agent/process.ts";
import { accessLogCluster } from "#envoy/access-log.ts";
import { type HttpAnswer, request } from "#host/https.ts";
import type { Log } from "#host/log.ts";
import type { Trust } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import type { JsonObject } from "#lib/json.ts";

export interface ControlPlane {
  /** `https://host:5678` */
  readonly url: string;
  readonly trust: Trust;
  readonly token: string | undefined;
}

export interface Bootstrap {
  /** YAML, as Envoy reads it. */
  readonly text: string;
  readonly admin: AdminAddress;
  /** Where Envoy looks for its access log service; absent: nowhere. */
  readonly accessLogSocket: string | undefined;
}

const firstPauseMs = 250;
const longestPauseMs = 5000;
const repeatLogMs = 30_000;
/** A token that is refused may still come right, as when its key is on the way from global; but not for longer. */
export const refusedForMs = 2_000;

/**
 * Asks until there is an answer: a control plane that is away, not ready (5xx) or does not know the proxy yet (404) is waited
 * for; any other refusal is final and rejects with the control plane's own sentence, and so is a certificate that is not trusted.
 * `undefined`: the signal was aborted.
 */
export async function fetchBootstrap(
  controlPlane: ControlPlane,
  body: JsonObject,
  log: Log,
  signal: AbortSignal,
): Promise<Bootstrap | undefined> {
  let logged = { reason: "", at: 0 };
  let refusedAt: number | undefined;
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    const reason = await attempt();
    if (typeof reason !== "string") return reason;
    if (reason !== logged.reason || Date.now() - logged.at > repeatLogMs) {
      log.warn({ controlPlane: controlPlane.url }, `waiting for a bootstrap from the control plane: ${reason}`);
      logged = { reason, at: Date.now() };
    }
    // Spread, for the many that wait for the same restart.
    await pauseUnless(pauseMs * (0.5 + Math.random() / 2), signal);
  }
  return undefined;

  async function attempt(): Promise<Bootstrap | string> {
    let answer: HttpAnswer;
    try {
      answer = await post(controlPlane, "/bootstrap", body, 10_000);
    } catch (error) {
      if (error instanceof KodiakError && error.failure.kind === "unavailable") return error.message;
      throw error;
    }
    const text = Buffer.from(answer.body).toString();
    if (answer.status === 200) return bootstrapIn(text, controlPlane.url);
    const isRefused = text.startsWith("authentication failed");
    refusedAt = isRefused ? (refusedAt ?? Date.now()) : undefined;
    const mayComeRight = refusedAt === undefined || Date.now() - refusedAt < refusedForMs;
    if (answer.status >= 500 && mayComeRight)
      return `it answers ${answer.status}: ${text.trim() || "without a reason"}`;
    if (answer.status === 404) return "it answers 404: it does not know this proxy yet, or it is no zone control plane";
    throw new KodiakError({
      kind: "invalid",
      what: `${controlPlane.url} refuses this proxy`,
      issues: issuesIn(answer, text),
    });
  }
}

export interface ProxyName {
  readonly mesh: string;
  readonly name: string;
  readonly proxyType: "dataplane" | "ingress" | "egress";
}

/** For the answer itself, beyond what it may wait. */
const answerMs = 1_000;

/**
 * The control plane takes the proxy out of everyone's rotation and answers when those who used it know, other zones' proxies,
 * too, or when `waitMs` have passed. Kuma's has no such
 * endpoint (404), and one that is away cannot help: leaving goes on without it, and says so.
 */
export async function announceLeave(controlPlane: ControlPlane, proxy: ProxyName, waitMs: number, log: Log) {
  try {
    const answer = await post(controlPlane, "/leave", { ...proxy, waitMs }, waitMs + answerMs);
    const text = Buffer.from(answer.body).toString().trim();
    if (answer.status === 200) {
      if (text !== "") log.warn({}, `out of rotation, but ${text}`);
      return;
    }
    log.warn({ status: answer.status }, `the control plane did not take this proxy out of rotation: ${text}`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.warn({}, `leaving without the control plane, some requests may fail: ${reason}`);
  }
}

const post = (controlPlane: ControlPlane, path: string, body: JsonObject, timeoutMs: number): Promise<HttpAnswer> =>
  request({
    url: new URL(path, controlPlane.url).href,
    trust: controlPlane.trust,
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json",
      ...(controlPlane.token && { authorization: controlPlane.token }),
    },
    body: JSON.stringify(body),
    timeoutMs,
  });

const issuesIn = (answer: HttpAnswer, text: string) => [
  { path: "", message: text.trim() || `it answers ${answer.status} without a reason` },
];

const answerSchema = z.object({ bootstrap: z.base64() });
const adminSchema = z.object({
  admin: z.object({
    address: z.union([
      z.object({ pipe: z.object({ path: z.string() }) }),
      z.object({ socketAddress: z.object({ address: z.string(), portValue: z.int() }) }),
    ]),
  }),
});

const pipeSchema = z.object({ address: z.object({ pipe: z.object({ path: z.string() }) }) });
const lbEndpointSchema = z.object({ endpoint: pipeSchema });
const sinkSchema = z.object({
  loadAssignment: z.object({ endpoints: z.tuple([z.object({ lbEndpoints: z.tuple([lbEndpointSchema]) })]) }),
});
const clustersSchema = z.object({
  staticResources: z.object({ clusters: z.array(z.looseObject({ name: z.string() })) }),
});

function accessLogSocketIn(bootstrap: unknown): string | undefined {
  const clusters = clustersSchema.safeParse(bootstrap).data?.staticResources.clusters ?? [];
  const cluster = sinkSchema.safeParse(clusters.find(({ name }) => name === accessLogCluster));
  return cluster.data?.loadAssignment.endpoints[0].lbEndpoints[0].endpoint.address.pipe.path;
}

function bootstrapIn(body: string, url: string): Bootstrap {
  try {
    const text = Buffer.from(answerSchema.parse(JSON.parse(body)).bootstrap, "base64").toString();
    const bootstrap: unknown = parse(text);
    const { address } = adminSchema.parse(bootstrap).admin;
    const admin =
      "pipe" in address
        ? { socketPath: address.pipe.path }
        : { host: address.socketAddress.address, port: address.socketAddress.portValue };
    return { text, admin, accessLogSocket: accessLogSocketIn(bootstrap) };
  } catch (error) {
    const message = "must be a bootstrap; give the address of a zone control plane's port for proxies, 5678";
    const issues = [{ path: "", message }];
    throw new KodiakError(
      { kind: "invalid", what: `the answer of ${url} to POST /bootstrap`, issues },
      { cause: error },
    );
  }
}
