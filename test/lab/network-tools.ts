// What tests of networks need of the machine: root, and Debian's packages of ip, nft and iptables, which are installed if they are not there.

import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "#agent/process.ts";

/** Program → Debian's package. */
const needed = { ip: "iproute2", tc: "iproute2", nft: "nftables", "iptables-restore": "iptables" };

const lock = join(tmpdir(), "kodiak-test-apt.lock");

let ready: Promise<void> | undefined;

/** Rejects with what to do where this machine cannot have network namespaces. */
export const networkTools = (): Promise<void> => {
  ready ??= install();
  return ready;
};

async function install(): Promise<void> {
  if (process.geteuid?.() !== 0)
    throw new Error(
      "tests with network namespaces need root: run npm test as root, in a container with --cap-add=NET_ADMIN,SYS_ADMIN",
    );
  const missing: string[] = [];
  for (const [program, debian] of Object.entries(needed)) if (!(await has(program))) missing.push(debian);
  if (missing.length === 0) return;
  const packages = [...new Set(missing)];
  const yourself = `install them yourself: ${packages.join(", ")}`;
  if (!(await has("apt-get")))
    throw new Error(`tests with network namespaces need programs that are not there; ${yourself}`);
  // Another test may be at it: one after the other. Lists of packages are fetched only where they are too old, or not there.
  const apt = `apt-get -qq -o DPkg::Lock::Timeout=120`;
  const take = `${apt} install --yes --no-install-recommends ${packages.join(" ")}`;
  const { exit, lines } = await run("flock", [lock, "sh", "-c", `${take} || { ${apt} update && ${take}; }`], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
  if (exit.code !== 0) throw new Error(`apt-get failed: ${lines.slice(-3).join(" ")}; ${yourself}`);
}

const has = (program: string): Promise<boolean> =>
  run("sh", ["-c", 'command -v "$1"', "sh", program]).then(({ exit }) => exit.code === 0);
