// A test in a network and a mount namespace of its own, where it may redirect connections and say who resolves names. It ends with
// its processes, and with it all that was changed.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

/** As for all waits of tests (`lab.ts`, which this process does not need). */
const patience = process.env.CI ? 3 : 1;

/** Runs a file with tests, of this folder; rejects with what it says when one fails, or does not end in time. */
export async function inNamespace(file: string, timeoutMs: number): Promise<void> {
  // Told that it is part of another run it would report to that in a form of its own.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const path = fileURLToPath(new URL(file, import.meta.url));
  const command = ["--net", "--mount", "--kill-child", process.execPath, "--test", "--test-reporter=tap", path];
  try {
    await run("unshare", command, { env, timeout: timeoutMs * patience });
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`${file} failed in its namespace:\n${stdout.slice(-6_000)}${stderr.slice(-2_000)}`, {
      cause: error,
    });
  }
}

const commands = (text: string): Promise<unknown> => run("sh", ["-ec", text]);

/** Without it there is no address at all. */
export const loopback = (): Promise<unknown> => commands("ip link set lo up");

const strangerUid = 65_534;

/** Virtual addresses, and for a stranger one outside address, lead to Envoy, DNS to the agent: as far as names need a redirect. */
export async function redirectHere(
  ports: { readonly outbound: number; readonly dns: number },
  outside: string,
): Promise<void> {
  await loopback();
  await commands(`
    ip route add local 240.0.0.0/4 dev lo
    ip address add ${outside}/32 dev lo
    iptables -t nat -A OUTPUT -p tcp -d 240.0.0.0/4 -j REDIRECT --to-ports ${ports.outbound}
    iptables -t nat -A OUTPUT -p tcp -d ${outside} -m owner --uid-owner ${strangerUid} -j REDIRECT --to-ports ${ports.outbound}
    iptables -t nat -A OUTPUT -p udp -d 127.0.0.53 --dport 53 -j REDIRECT --to-ports ${ports.dns}
    iptables -t nat -A OUTPUT -p tcp -d 127.0.0.53 --dport 53 -j REDIRECT --to-ports ${ports.dns}
    echo nameserver 127.0.0.53 > /run/kodiak-test-resolv.$$
    mount --bind /run/kodiak-test-resolv.$$ /etc/resolv.conf
    rm /run/kodiak-test-resolv.$$
  `);
}

/** The body of an answer, asked for by a process that is not the proxy's. */
export async function getAsStranger(url: string): Promise<string> {
  const script = `process.setuid(${strangerUid}); process.stdout.write(await (await fetch(process.argv[1])).text())`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script, url]);
  return stdout;
}
