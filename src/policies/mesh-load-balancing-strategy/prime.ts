// Prime numbers: Envoy takes no other size of a Maglev table.

/** Not above a number; of less than 2, 2. */
export function largestPrime(most: number): number {
  for (let number = most; number > 2; number--) if (isPrime(number)) return number;
  return 2;
}

function isPrime(number: number): boolean {
  for (let factor = 2; factor * factor <= number; factor++) if (number % factor === 0) return false;
  return true;
}
