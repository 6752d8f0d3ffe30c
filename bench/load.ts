// One after the other, and as many as are answered with 32 under way.

import type { Measured } from "./suite.ts";

const warmUp = 500;
const alone = 2_000;
/** Each a value of the rate. */
const bursts = 5;
const inBurst = 3_000;
const atOnce = 32;

/** `ask` rejects unless it is answered well. Milliseconds, and answers a second as `NAME-rate`. */
export async function* loaded(
  name: string,
  perSecond: Measured["unit"],
  ask: () => Promise<unknown>,
): AsyncIterable<Measured> {
  for (let i = 0; i < warmUp; i++) await ask();
  const times: number[] = [];
  for (let i = 0; i < alone; i++) {
    const start = performance.now();
    await ask();
    times.push(performance.now() - start);
  }
  yield { name, unit: "ms", values: times };
  const rates: number[] = [];
  for (let burst = 0; burst < bursts; burst++) {
    let left = inBurst;
    const start = performance.now();
    const worker = async () => {
      while (left-- > 0) await ask();
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    rates.push((inBurst * 1_000) / (performance.now() - start));
  }
  yield { name: rateOf(name), unit: perSecond, values: rates };
}

export const rateOf = (name: string): string => `${name}-rate`;
