// IP addresses and networks in CIDR form, as numbers.

export interface IpNetwork {
  readonly family: "ipv4" | "ipv6";
  /** As written, without the prefix. */
  readonly address: string;
  /** Zeros beyond the prefix: networks are equal when these and their prefixes are. */
  readonly bits: bigint;
  /** All of the address, if none is written. */
  readonly prefix: number;
}

/** `10.1.2.3`, `10.2.0.0/16`, `fd00::/8`; `undefined`: neither. */
export function networkIn(text: string): IpNetwork | undefined {
  const [, address = "", written] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = address.includes(":") ? "ipv6" : "ipv4";
  const bits = family === "ipv4" ? bitsOf4(address) : bitsOf6(address);
  const prefix = written === undefined ? widths[family] : Number(written);
  if (bits === undefined || prefix > widths[family]) return undefined;
  const rest = BigInt(widths[family] - prefix);
  return { family, address, bits: (bits >> rest) << rest, prefix };
}

const widths = { ipv4: 32, ipv6: 128 };

/** Whether all of `inner` is in `outer`. */
export function isWithin(inner: IpNetwork, outer: IpNetwork): boolean {
  const rest = BigInt(widths[outer.family] - outer.prefix);
  return inner.family === outer.family && inner.prefix >= outer.prefix && inner.bits >> rest === outer.bits >> rest;
}

function bitsOf4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return undefined;
  return parts.reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

/** RFC 4291, 2.2. */
function bitsOf6(text: string): bigint | undefined {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted) {
    const last = bitsOf4(dotted[2] ?? "");
    if (last === undefined) return undefined;
    return bitsOf6(`${dotted[1]}${(last >> 16n).toString(16)}:${(last & 0xffffn).toString(16)}`);
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [before = [], after = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - before.length - after.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...before, ...Array<string>(missing).fill("0"), ...after];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return groups.reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n);
}
