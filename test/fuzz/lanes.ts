// Lanes: proxies or zones that send side by side, each under a name of its own.

/**
 * In an input the first stands for the lane that sends it, and all are as long. It is what a zone is called in recorded exchanges;
 * none is called as the well-behaved one.
 */
export const laneName = (lane: number): string => (lane === 0 ? "zone-1" : `lane${lane.toString(36).padStart(2, "0")}`);
const placeholder = laneName(0);

export const namedText = (text: string, lane: number): string => text.replaceAll(placeholder, laneName(lane));

export function namedBytes(bytes: Buffer, lane: number): Buffer {
  if (lane === 0 || !bytes.includes(placeholder)) return bytes;
  const copy = Buffer.from(bytes);
  for (let at = copy.indexOf(placeholder); at >= 0; at = copy.indexOf(placeholder, at + 1))
    copy.write(laneName(lane), at);
  return copy;
}
