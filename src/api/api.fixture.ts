// A served API for tests: a real store in memory, real ports, requests over real HTTP.

import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { TestContext } from "node:test";
import type { Rules } from "#api/admission.ts";
import { type ApiOptions, serveApi } from "#api/serve.ts";
import type { TokenIssuer } from "#api/token-routes.ts";
import { noAuditLog } from "#host/audit-log.ts";
import type { Log } from "#host/log.ts";
import type { JsonObject } from "#lib/json.ts";
import { metaIssues } from "#resources/meta.ts";
import type { Edit, Store } from "#resources/store.ts";
import { memoryStore } from "#store/memory.ts";

export interface Reply {
  readonly status: number;
  readonly type: string | undefined;
  readonly allow: string | undefined;
  readonly text: string;
  readonly json: JsonObject;
}
export interface Request {
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON with its content type. */
  readonly body?: unknown;
  readonly tls?: boolean;
}
export interface Rig {
  readonly store: Store;
  readonly httpPort: number;
  readonly httpsPort: number | undefined;
  call(method: string, path: string, request?: Request): Promise<Reply>;
}

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: console.error, child: () => quiet };

/** As "tokens" what was asked for, signed by nobody. */
export const echoed = async (request: object): Promise<string> => JSON.stringify(request);
export const echoes: TokenIssuer = {
  ...{ dataplane: echoed, zone: echoed, join: echoed, user: echoed },
  stated: () => ({ id: "some-id", expires: "2033-05-18T03:33:20.000Z" }),
};

export const openRules: Rules = {
  place: { kind: "global" },
  validate: metaIssues,
  unknownMembers: () => [],
  isActedOn: () => true,
  authorityIssues: () => [],
};

export const mesh = (name: string, spec: JsonObject = {}) => ({ kind: "Mesh", mesh: "", name, labels: {}, spec });
export const seed = (
  kind: string,
  name: string,
  more: { mesh?: string; labels?: Record<string, string>; spec?: JsonObject } = {},
) => ({
  kind,
  mesh: "default",
  name,
  labels: {},
  spec: {},
  ...more,
});

/** Holds mesh `default` and what is given; ended with the test. */
export async function serve(
  t: TestContext,
  {
    rules,
    seeds = [],
    ...options
  }: Partial<Omit<ApiOptions, "rules">> & { rules?: Partial<Rules>; seeds?: readonly ReturnType<typeof mesh>[] } = {},
): Promise<Rig> {
  const store = memoryStore({ now: () => Date.now() }, { uuid: () => crypto.randomUUID() });
  const puts = [mesh("default"), ...seeds].map(
    (resource): Edit => ({ kind: "put", resource: { ...resource, creationTime: "", modificationTime: "" } }),
  );
  await store.write(puts);
  const api = await serveApi({
    store,
    rules: { ...openRules, ...rules },
    hasLocalAdmin: true,
    authenticate: async () => ({ ok: false, reason: "no tokens here" }),
    tokens: echoes,
    audit: noAuditLog,
    about: { clusterId: "cluster", instanceId: "instance", hostname: "host", version: "0.0.1" },
    config: {},
    http: { host: "127.0.0.1", port: 0 },
    log: quiet,
    ...options,
  });
  t.after(async () => {
    await api.close();
    await store.close();
  });
  return {
    store,
    httpPort: api.httpPort,
    httpsPort: api.httpsPort,
    call: (method, path, request = {}) => call(request.tls ? api.httpsPort! : api.httpPort, method, path, request),
  };
}

function call(port: number, method: string, path: string, { headers, body, tls }: Request): Promise<Reply> {
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const typed = text === undefined ? {} : { "content-type": "application/json" };
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, method, path, headers: { ...typed, ...headers }, agent: false };
    const sent = tls ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    sent.on("error", reject);
    sent.on("response", async (response) => {
      const chunks: Buffer[] = await response.toArray();
      const answer = Buffer.concat(chunks).toString();
      const type = response.headers["content-type"];
      resolve({
        status: response.statusCode!,
        type,
        allow: response.headers.allow,
        text: answer,
        json: type === "application/json" ? JSON.parse(answer) : {},
      });
    });
    sent.end(text);
  });
}
