// Durations as they are written: Go's text form ("1h30m", "50ms"), and protobuf's JSON form ("1.5s").

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|\u00b5s|ms|s|m|h)/y;

/** Milliseconds of a Go duration text (https://pkg.go.dev/time#ParseDuration), `undefined` if it is none. */
export function parseGoDuration(text: string): number | undefined {
  if (text === "0") return 0;
  const sign = text.startsWith("-") ? -1 : 1;
  let at = /^[+-]/.test(text) ? 1 : 0;
  let total = 0;
  if (at === text.length) return undefined;
  while (at < text.length) {
    part.lastIndex = at;
    const match = part.exec(text);
    if (!match) return undefined;
    total += Number(match[1]) * unitMs[match[2]!]!;
    at = part.lastIndex;
  }
  return sign * total;
}

/** Protobuf's JSON form of a duration: `1500` is `1.5s`, `0.000001` is `0.000000001s`. */
export const protoDuration = (ms: number): string => `${(ms / 1000).toFixed(9).replace(/\.?0+$/, "")}s`;

/** From Go's form; what is no duration is none at all. */
export const goToProto = (text: string): string => protoDuration(parseGoDuration(text) ?? 0);

const ageUnitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
  y: 365 * 86_400_000,
};

/** One integer and one unit of ms s m h d w y, as in `dpCert.rotation.expiration` (interop 2.7); `undefined` if it is none. */
export function parseAge(text: string): number | undefined {
  if (text === "0") return 0;
  const match = /^(\d+)(ms|s|m|h|d|w|y)$/.exec(text);
  return match ? Number(match[1]) * ageUnitMs[match[2]!]! : undefined;
}
