// Packets to and from a port of this machine that vanish, and nobody is told: what a cut line does, and no closed port, killed process or
// held relay can. A table of its own in the machine's packet filter, gone when the lab ends.

import { run } from "#agent/process.ts";
import type { Lab } from "./lab.ts";
import { networkTools } from "./network-tools.ts";

export interface Blackhole {
  open(): Promise<void>;
  mend(): Promise<void>;
}

export async function blackhole(
  of: Lab,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Blackhole> {
  await networkTools();
  const table = `ip kodiak_test_${port}`;
  const mend = () => nft(`add table ${table}\ndelete table ${table}`);
  of.atEnd(mend);
  return {
    open: () =>
      nft(`table ${table} {
        chain input {
          type filter hook input priority -10
          ip daddr ${host} tcp dport ${port} drop
          ip saddr ${host} tcp sport ${port} drop
        }
      }`),
    mend,
  };
}

async function nft(input: string): Promise<void> {
  const { exit, lines } = await run("nft", ["-f", "-"], { input });
  if (exit.code !== 0) throw new Error(`nft: ${lines.join(" ")}\n${input}`);
}
