// `openssl s_client`: a TLS client that is none of ours, for what a proxy says to strangers.

import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Authority } from "#identity/authority.ts";
import { createIssuer } from "#identity/issuer.ts";
import type { Lab } from "./lab.ts";

export interface TlsAddress {
  readonly host: string;
  readonly port: number;
}

/** All that it printed. TLS 1.2, where a client sees the server's certificate before it is asked for its own. */
export function handshake(at: TlsAddress, args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn("openssl", ["s_client", "-connect", `${at.host}:${at.port}`, "-tls1_2", ...args]);
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    // One that refuses may be gone before it has read all.
    child.stdin.on("error", () => {});
    child.on("error", reject);
    child.on("close", () => resolve(text));
    child.stdin.end(input);
  });
}

/** Arguments with a client certificate of `frontend` in this mesh, signed by this authority. */
export async function clientCertificate(own: Lab, mesh: string, authority: Authority): Promise<readonly string[]> {
  const identity = { mesh, services: ["frontend"], tags: { "kuma.io/service": ["frontend"] } };
  const leaf = await createIssuer(authority).issue(identity, Date.now());
  const stem = join(own.folder, `client-${leaf.serial}`);
  await writeFile(`${stem}.crt`, leaf.chain);
  await writeFile(`${stem}.key`, leaf.privateKey, { mode: 0o600 });
  return ["-cert", `${stem}.crt`, "-key", `${stem}.key`, "-alpn", "kuma"];
}
