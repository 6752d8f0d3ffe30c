// Seeded chance: the same seed gives the same numbers, in any process on any machine. sfc32, by Chris Doty-Humphrey
// (PractRand), which is small and passes the usual tests.

export interface Chance {
  /** 0 ≤ x < 1. */
  fraction(): number;
  /** An integer, both ends included. */
  between(least: number, most: number): number;
  /** True with this probability. */
  is(probability: number): boolean;
  pick<V>(values: readonly V[]): V;
  uuid(): string;
  /** Chance of its own, so that what one part draws changes nothing for another. */
  apart(): Chance;
}

export function chance(seed: number): Chance {
  let [a, b, c, counter] = [seed | 0, 0x9e3779b9, 0x243f6a88, 1];

  function next(): number {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  }
  // Seeds that are near each other must not begin alike.
  for (let round = 0; round < 15; round++) next();

  const fraction = (): number => next() / 2 ** 32;
  const between = (least: number, most: number): number => least + Math.floor(fraction() * (most - least + 1));
  const hex = (): string => next().toString(16).padStart(8, "0");
  return {
    fraction,
    between,
    is: (probability) => fraction() < probability,
    pick: (values) => {
      const value = values[between(0, values.length - 1)];
      if (value === undefined) throw new RangeError("nothing to pick from");
      return value;
    },
    uuid: () =>
      `${hex()}-${hex().slice(0, 4)}-4${hex().slice(1, 4)}-8${hex().slice(1, 4)}-${hex()}${hex().slice(0, 4)}`,
    apart: () => chance(next()),
  };
}
