// `kodiak demo-app`: the application behind a proxy of the demo. It says which instance it is, and can be slow.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Log } from "#host/log.ts";

/** `GET /slow` waits this long. */
const slowMs = 500;

/** Resolves when it is told to stop. */
export async function runDemoApp(instance: string, log: Log, stop: AbortSignal): Promise<number> {
  const server = createServer((request, response) => {
    const answer = (): void => {
      response.setHeader("content-type", "application/json");
      const client = request.headers["x-forwarded-client-cert"] ?? "";
      response.end(`${JSON.stringify({ instance, path: request.url, client })}\n`);
    };
    if (request.url?.startsWith("/slow")) setTimeout(answer, slowMs);
    else answer();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  log.info({ instance, port }, "the application listens");
  await new Promise((done) => stop.addEventListener("abort", done, { once: true }));
  server.close();
  server.closeIdleConnections();
  return 0;
}
