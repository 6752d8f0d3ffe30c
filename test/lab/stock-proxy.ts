// A proxy as kuma-dp runs it: a bootstrap that knows nothing but Kuma's features, and Envoy with it.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { startProcess } from "#agent/process.ts";
import { request } from "#host/https.ts";
import { envoy } from "./envoy.ts";
import { getOverSocket } from "./http.ts";
import { eventually, type Lab, type LabProxy, type LabZone } from "./lab.ts";

/** Of a Dataplane; resolves when its Envoy runs. */
export async function startStockProxy(
  of: Lab,
  at: LabZone,
  resource: { readonly name: string; readonly mesh: string },
  token: string,
): Promise<Pick<LabProxy, "admin">> {
  const workdir = join(of.folder, `stock-${resource.name}`);
  await mkdir(workdir);
  const body = {
    ...{ mesh: resource.mesh, name: resource.name, proxyType: "dataplane", dataplaneToken: token, workdir },
    dataplaneResource: JSON.stringify(resource),
    caCert: at.certificate,
    features: ["feature-delta-grpc", "feature-strict-inbound-ports"],
  };
  const bootstrap = await eventually("a bootstrap", 10_000, async () => {
    const { status, body: answer } = await request({
      url: `https://127.0.0.1:${at.dpPort}/bootstrap`,
      trust: { kind: "ca", ca: at.certificate },
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      timeoutMs: 10_000,
    });
    const text = Buffer.from(answer).toString();
    if (status !== 200) throw new Error(`${status}: ${text}`);
    return text;
  });
  const file = join(workdir, "bootstrap.yaml");
  await writeFile(file, bootstrap, { mode: 0o600 });
  const args = ["--config-path", file, "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"];
  const running = await startProcess(await envoy(), args, { orphaned: { removes: [workdir] } });
  of.atEnd(async () => {
    running.kill("SIGKILL");
    await running.exit;
  });
  const socket: string = parse(bootstrap).admin.address.pipe.path;
  return { admin: (path) => getOverSocket(socket, path) };
}
