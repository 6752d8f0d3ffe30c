// Envoy's process: its arguments, its log lines in ours, and one that is started again when it dies. Its configuration is not
// kept by us: a new Envoy has the same bootstrap and gets the rest from the control plane again.

import type { EnvoyAdmin } from "#agent/admin.ts";
import { refusedForMs } from "#agent/control-plane.ts";
import { describeExit, endProcess, pauseUnless, type Running, startProcess } from "#agent/process.ts";
import type { Log } from "#host/log.ts";
import { KodiakError } from "#lib/failure.ts";

export interface EnvoyOptions {
  readonly path: string;
  readonly bootstrapFile: string;
  readonly admin: EnvoyAdmin;
  /** What messages call the control plane: its URL. */
  readonly controlPlane: string;
  /** trace, debug, info, warning, error, critical or off. */
  readonly logLevel: string;
  /** Worker threads; absent: one for each processor. */
  readonly concurrency: number | undefined;
  readonly drainTimeMs: number;
  /** Removed, should this program be killed. */
  readonly workDir: string;
}

export interface Envoy {
  /** Resolves when it has its configuration for the first time. Rejects where it cannot start, or is refused it. */
  readonly ready: Promise<void>;
  /** Ends it: SIGTERM, and SIGKILL after the grace or at once when `now` is aborted. It is not started again. */
  end(graceMs: number, now: AbortSignal): Promise<void>;
}

const pollMs = 50;
/** From here on it is asked seldom: the control plane is away, or refuses the stream. */
const hintAfterMs = 10_000;
const slowPollMs = 500;
const firstPauseMs = 100;
const longestPauseMs = 10_000;
/** One that ran this long was well: what killed it is taken for a new cause. */
const soundAfterMs = 60_000;

export function keepEnvoy(options: EnvoyOptions, log: Log): Envoy {
  const ending = new AbortController();
  const firstReady = Promise.withResolvers<void>();
  // Who ends it early does not wait for it.
  firstReady.promise.catch(() => {});
  let current: Running | undefined;
  let wasReady = false;
  let refusedAt: number | undefined;
  const lived = live();
  return {
    ready: firstReady.promise,
    end: async (graceMs, now) => {
      ending.abort();
      if (current) await endProcess(current, graceMs, now);
      await lived;
    },
  };

  async function live(): Promise<void> {
    let pauseMs = firstPauseMs;
    while (!ending.signal.aborted) {
      const startedAt = Date.now();
      const failure = await liveOnce().catch(asUnavailable);
      if (ending.signal.aborted) return;
      if (!wasReady && failure.isFinal) return firstReady.reject(failure.error);
      if (Date.now() - startedAt > soundAfterMs) pauseMs = firstPauseMs;
      log.error({}, `${failure.error.message}; it is started again in ${pauseMs / 1000} s`);
      await pauseUnless(pauseMs, ending.signal);
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
  }

  /** Resolves when this Envoy is gone, with how. */
  async function liveOnce(): Promise<Failure> {
    const lastWords: string[] = [];
    const running = await startEnvoy(options, log, lastWords, refused);
    current = running;
    log.info({ pid: running.pid, path: options.path }, "Envoy started");
    if (ending.signal.aborted) running.kill("SIGKILL");
    const gone = new AbortController();
    const readied = untilReady(options.admin, AbortSignal.any([gone.signal, ending.signal]), log).then((isReady) => {
      if (!isReady) return;
      if (wasReady) log.info({}, "Envoy is ready again");
      wasReady = true;
      firstReady.resolve();
    });
    const exit = await running.exit;
    gone.abort();
    await readied;
    const what = [`Envoy ended ${describeExit(exit)}`, ...(wasReady ? [] : lastWords)].join("; ");
    // Ending with a code at the start is Envoy's way to refuse its bootstrap; a signal comes from outside.
    return { error: new KodiakError({ kind: "unavailable", what }), isFinal: exit.signal === undefined };
  }

  /** One that was ready before goes on with what it has, and tries again. */
  function refused(why: string): void {
    refusedAt ??= Date.now();
    if (wasReady || Date.now() - refusedAt < refusedForMs) return;
    firstReady.reject(
      new KodiakError({ kind: "forbidden", why: `${options.controlPlane} refuses this proxy: ${why}` }),
    );
  }
}

interface Failure {
  readonly error: Error;
  /** It would not help to try again. */
  readonly isFinal: boolean;
}
const asUnavailable = (error: Error): Failure => ({ error, isFinal: true });

/** `false`: the signal was aborted before. */
async function untilReady(admin: EnvoyAdmin, signal: AbortSignal, log: Log): Promise<boolean> {
  const hintAt = Date.now() + hintAfterMs;
  for (let hinted = false; !signal.aborted; ) {
    const answer = await admin.ready();
    if (answer?.status === 200) return true;
    if (!hinted && Date.now() > hintAt) {
      hinted = true;
      const state = answer?.state ?? "no answer from its admin";
      log.warn({ state }, "Envoy runs, and still waits for its configuration from the control plane");
    }
    await pauseUnless(hinted ? slowPollMs : pollMs, signal);
  }
  return false;
}

/** Its last errors are kept in `lastWords`. */
function startEnvoy(
  options: EnvoyOptions,
  log: Log,
  lastWords: string[],
  onRefused: (why: string) => void,
): Promise<Running> {
  const args = [
    ["--config-path", options.bootstrapFile],
    // Several Envoys run on one machine, each with its own agent: none takes over from another.
    ["--disable-hot-restart"],
    ["--drain-time-s", String(Math.ceil(options.drainTimeMs / 1000))],
    // Of the connections that are asked to go, all are asked with their next response, not one by one over the drain time.
    ["--drain-strategy", "immediate"],
    ["--log-level", options.logLevel],
    ["--log-format-escaped", "--log-format", "%l|%n|%v"],
    options.concurrency === undefined ? [] : ["--concurrency", String(options.concurrency)],
  ];
  return startProcess(options.path, args.flat(), {
    orphaned: { removes: [options.workDir] },
    opensOutput: true,
    onLine: (line, stream) => {
      // Its own log is on stderr; here is what a policy has it write, such as the events of health checks.
      if (stream === "stdout") return log.info({}, `Envoy's /dev/stdout: ${line}`);
      const { level, logger, text, refusal } = entryOf(line);
      if (level === "error") lastWords.push(text);
      if (lastWords.length > 3) lastWords.shift();
      log[level]({ logger }, `Envoy: ${text}`);
      if (refusal !== undefined) onRefused(refusal);
    },
  });
}

type Level = "debug" | "info" | "warn" | "error";
const levels: Readonly<Record<string, Level>> = {
  trace: "debug",
  debug: "debug",
  info: "info",
  warning: "warn",
  error: "error",
  critical: "error",
};

/** No news: Envoy's advice for proxies at the edge, and what we do to it ourselves. */
const expected = /^There is no configured limit to the number of allowed active|^caught ENVOY_SIGTERM/;

interface Entry {
  readonly level: Level;
  readonly logger: string;
  readonly text: string;
  /** Why the control plane ended the stream: the proxy's token is not taken (interop 5.5). */
  readonly refusal?: string;
}

/** A line in the format above; what is not comes from before the log stands, or from a crash. */
export function entryOf(line: string): Entry {
  const match = /^(\w+)\|(\w+)\|(.*)$/.exec(line);
  const level = levels[match?.[1] ?? ""];
  if (!match || !level) return { level: "error", logger: "", text: line };
  const logger = match[2] ?? "";
  const text = (match[3] ?? "").replace(/(\\n)+$/, "").replaceAll(/\\(['"\\])/g, "$1");
  if (expected.test(text)) return { level: "debug", logger, text };
  const refusal = / closed: \d+, (authentication failed: .*?)(?:\{via_upstream\})?$/.exec(text)?.[1];
  if (refusal !== undefined)
    return { level, logger, text: `the control plane refuses this proxy: ${refusal}`, refusal };
  const taken = /failed to bind or apply socket options: cannot bind '([^']+)': (.+)$/.exec(text);
  if (!taken) return { level, logger, text };
  const [, address, reason] = taken;
  return {
    level: "error",
    logger,
    text: `cannot listen on ${address}: ${reason}; end what uses the address, or give the proxy another`,
  };
}
