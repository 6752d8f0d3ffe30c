// SIGTERM, SIGINT and SIGHUP (the terminal was closed): the first asks to leave in good order, the second to end at once.

export interface StopSignals {
  readonly leave: AbortSignal;
  readonly now: AbortSignal;
}

export function stopSignals(): StopSignals {
  const leave = new AbortController();
  const now = new AbortController();
  const onSignal = (): void => (leave.signal.aborted ? now : leave).abort();
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal).on("SIGHUP", onSignal);
  return { leave: leave.signal, now: now.signal };
}

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
