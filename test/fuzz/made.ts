// How inputs are made: plain functions of seeded chance, so that making one costs less than sending it. The shapes that fast-check
// knows (any JSON, any text) come from it in lots, as nothing is shrunk here, and its arbitraries take ten times as long.

import fc from "fast-check";
import type { Chance } from "../simulation/random.ts";

export type Make<V> = (of: Chance) => V;

export const picked =
  <V>(...those: readonly V[]): Make<V> =>
  (of) =>
    of.pick(those);

/** One of these; the number before each is how often it comes. */
export function oneOf<V>(...those: readonly (readonly [weight: number, make: Make<V>])[]): Make<V> {
  const sum = those.reduce((sum, [weight]) => sum + weight, 0);
  return (of) => {
    let at = of.fraction() * sum;
    for (const [weight, make] of those) {
      at -= weight;
      if (at < 0) return make(of);
    }
    throw new RangeError("nothing to make");
  };
}

export const listOf =
  <V>(make: Make<V>, most: number): Make<V[]> =>
  (of) =>
    Array.from({ length: of.between(0, most) }, () => make(of));

const lot = 200;
const picks = 5_000;

/** Of a lot that is made anew now and then. */
export function supplied<V>(arbitrary: fc.Arbitrary<V>): Make<V> {
  let values: readonly V[] = [];
  let left = 0;
  return (of) => {
    if (left-- === 0) {
      values = fc.sample(arbitrary, { seed: of.between(0, 2 ** 31 - 1), numRuns: lot });
      left = picks;
    }
    return of.pick(values);
  };
}

const most = 64;

/** Some that were made before, and now and then a new one: for what costs more to make than to send. */
export function kept<V>(make: Make<V>): Make<V> {
  const values: V[] = [];
  return (of) => {
    if (values.length < most) values.push(make(of));
    else if (of.is(0.1)) values[of.between(0, most - 1)] = make(of);
    return of.pick(values);
  };
}

/** Mostly small, else any of 31 bits. */
export const number: Make<number> = (of) => of.between(0, of.is(0.5) ? 50 : 2 ** 31 - 1);

export const anyBytes =
  (least: number, most: number): Make<Buffer> =>
  (of) => {
    const bytes = Buffer.allocUnsafe(of.between(least, most));
    for (let at = 0; at < bytes.length; at++) bytes[at] = of.is(0.8) ? of.between(0, 255) : of.pick([0, 255, 0x80]);
    return bytes;
  };
