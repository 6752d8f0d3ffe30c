// SIGTERM and SIGINT: the first asks to leave in good order, the second to end at once.

export interface StopSignals {
  readonly leave: AbortSignal;
  readonly now: AbortSignal;
}

/** `more`: signals that count like these. SIGHUP is for who lives with its terminal; `nohup` must keep others up. */
export function stopSignals(...more: readonly NodeJS.Signals[]): StopSignals {
  const leave = new AbortController();
  const now = new AbortController();
  const onSignal = (): void => (leave.signal.aborted ? now : leave).abort();
  for (const signal of ["SIGTERM", "SIGINT", ...more]) process.on(signal, onSignal);
  return { leave: leave.signal, now: now.signal };
}

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
