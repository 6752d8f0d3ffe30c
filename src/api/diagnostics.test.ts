// The diagnostics port answers as Kuma's does (interop 9.5).

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type DiagnosticsOptions, serveDiagnostics } from "#api/diagnostics.ts";
import { openLogs } from "#host/log.ts";
import { openMetrics } from "#host/metrics.ts";
import { KodiakError } from "#lib/failure.ts";

async function served(t: TestContext, options: Partial<DiagnosticsOptions> = {}) {
  const { log, levels } = openLogs("silent");
  log.child({ component: "xds" });
  const readiness = { notReady: undefined };
  const at = { host: "127.0.0.1", port: 0 };
  const all = { ...at, readiness, metrics: openMetrics(), levels, hasLocalAdmin: true, log };
  const diagnostics = await serveDiagnostics({ ...all, ...options });
  t.after(() => diagnostics.close());
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`http://127.0.0.1:${diagnostics.port}${path}`, init);
    return [response.status, response.headers.get("content-type"), await response.text()];
  };
  const put = (body: string, headers = {}) => ask("/logging", { method: "PUT", body, headers });
  return { ...diagnostics, levels, ask, put };
}
const plain = "text/plain; charset=utf-8";

test("it lives, and is ready when nothing is waited for", async (t) => {
  const readiness: { notReady: string | undefined } = { notReady: "it is starting" };
  const { ask } = await served(t, { readiness });
  assert.deepEqual(await ask("/healthy"), [200, null, ""]);
  assert.deepEqual(await ask("/ready"), [503, plain, "not ready: it is starting\n"]);
  readiness.notReady = undefined;
  assert.deepEqual(await ask("/ready"), [200, null, ""]);
  assert.deepEqual(await ask("/nope"), [404, plain, "404 page not found\n"]);
});

test("metrics come in Prometheus' format, whatever the scraper accepts", async (t) => {
  const metrics = openMetrics();
  metrics.gauge({ name: "answer", help: "The answer", read: () => 42 });
  const { ask } = await served(t, { metrics });
  const [status, type, text] = await ask("/metrics", { headers: { accept: "text/plain" } });
  assert.deepEqual([status, type], [200, "text/plain; version=0.0.4; charset=utf-8"]);
  assert.equal(text, "# HELP answer The answer\n# TYPE answer gauge\nanswer 42\n");
});

test("levels are shown, set and reset", async (t) => {
  const { ask, put, levels } = await served(t);
  const shown = (components: object) => [200, "application/json", `${JSON.stringify({ components })}\n`];
  assert.deepEqual(await ask("/logging"), shown({}));
  assert.deepEqual(await put('{"component":"xds","level":"debug"}'), [200, null, ""]);
  assert.deepEqual(await ask("/logging"), shown({ xds: "debug" }));
  assert.deepEqual(await put('{"component":"all","level":"warn"}'), [200, null, ""]);
  assert.deepEqual(await ask("/logging/xds", { method: "DELETE" }), [200, null, ""]);
  assert.deepEqual(await ask("/logging/nope", { method: "DELETE" }), [200, null, ""]);
  assert.deepEqual([...levels.set], [["all", "warn"]]);
  assert.deepEqual(await ask("/logging", { method: "DELETE" }), shown({}));
});

test("what is wrong with a level is said", async (t) => {
  const { ask, put } = await served(t);
  const refusals = {
    '{"level":"debug"}': "component name must not be empty",
    '{"component":"xds","level":"loud"}':
      'invalid log level: unknown log level "loud"; use one of debug, info, warn, error, silent',
    '{"component":"xdss","level":"debug"}': 'there is no component "xdss"; use one of all, xds',
    "{bad": "invalid request body",
    '{"component":7}': "invalid request body",
  };
  for (const [body, said] of Object.entries(refusals)) assert.deepEqual(await put(body), [400, plain, `${said}\n`]);
  assert.deepEqual(await ask("/logging", { method: "POST", body: "{}" }), [405, plain, "method not allowed\n"]);
});

test("a page of another site, or who comes through a proxy, changes no level", async (t) => {
  const { put, levels } = await served(t);
  const change = '{"component":"xds","level":"debug"}';
  for (const headers of [{ origin: "https://example.com" }, { "x-forwarded-for": "10.0.0.1" }]) {
    const [status, , said] = await put(change, headers);
    assert.deepEqual([status, said], [403, "log levels are shown and changed from this machine only\n"]);
  }
  assert.equal(levels.set.size, 0);
});

test("a port that is taken is named, with the flag", async (t) => {
  const { port } = await served(t);
  await assert.rejects(served(t, { port }), (error) => {
    assert.ok(error instanceof KodiakError);
    assert.match(
      error.message,
      new RegExp(`127\\.0\\.0\\.1:${port} for diagnostics \\(--diagnostics-port\\): the address is`),
    );
    return true;
  });
});
