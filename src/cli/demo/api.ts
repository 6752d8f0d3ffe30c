// Calls of a control plane's HTTP API.

import { request } from "#host/https.ts";
import { KodiakError } from "#lib/failure.ts";

/** Resolves with the body; rejects with `unavailable` when the answer is no success. */
export async function send(method: string, url: string, body?: object): Promise<string> {
  const answer = await request({
    url,
    method,
    headers: { "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = Buffer.from(answer.body).toString("utf8");
  if (answer.status >= 300) {
    throw new KodiakError({ kind: "unavailable", what: `${method} ${url} answered ${answer.status}: ${text}` });
  }
  return text;
}
