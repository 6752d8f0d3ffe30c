// Looks up hosts as the machine does: hosts file, search domains, name servers.

import { lookup } from "node:dns/promises";

/** As `Network.lookup`. */
export async function addressesOf(name: string): Promise<readonly string[]> {
  const all = await lookup(name, { all: true });
  const ipv4 = all.filter(({ family }) => family === 4);
  return [...new Set((ipv4.length > 0 ? ipv4 : all).map(({ address }) => address))].sort();
}
