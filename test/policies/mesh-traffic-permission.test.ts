// Each field of MeshTrafficPermission, by requests and connections that are let through or not.

import assert from "node:assert/strict";
import { get as getOverTls } from "node:https";
import { type TestContext, test } from "node:test";
import { connect } from "node:tls";
import { createIssuer } from "#identity/issuer.ts";
import type { Line } from "../agent/recording-log.ts";
import { authorityOf } from "../lab/authority.ts";

import { get } from "../lab/http.ts";
import type { LabProxy } from "../lab/lab.ts";
import { allowAll } from "../lab/manifests.ts";
import { answers, exchange, policyStage, type Stage, soon } from "./stage.ts";

const kind = "MeshTrafficPermission";
const of = (name: string) => ({ kind: "MeshService", name });

const from = (...entries: readonly (readonly [targetRef: object, action: string])[]) => ({
  targetRef: of("backend"),
  from: entries.map(([targetRef, action]) => ({ targetRef, default: { action } })),
});
const rules = (conf: object) => ({ rules: [{ default: conf }] });
const exact = (value: string) => ({ spiffeID: { type: "Exact", value } });
const prefix = (value: string) => ({ spiffeID: { type: "Prefix", value } });

const everyone = { kind: "Mesh" };
const frontend = of("frontend");
const team = (name: string) => ({ kind: "MeshSubset", tags: { team: name } });
const self = exact("spiffe://default/frontend");
const other = exact("spiffe://default/other");
const mesh = prefix("spiffe://default");

/** Each row follows one with the other answer, so that the change is seen. */
const table: readonly (readonly [what: string, spec: object, status: number])[] = [
  ["from: Mesh Allow", from([everyone, "Allow"]), 200],
  ["from: Mesh Deny", from([everyone, "Deny"]), 403],
  ["from: MeshService Allow, of this client", from([frontend, "Allow"]), 200],
  ["from: MeshService Allow, of another client", from([of("other"), "Allow"]), 403],
  ["from: MeshSubset Allow, with the client's tag", from([team("shop"), "Allow"]), 200],
  ["from: MeshSubset Allow, with another value", from([team("bank"), "Allow"]), 403],
  [
    "from: MeshServiceSubset Allow",
    from([{ kind: "MeshServiceSubset", name: "frontend", tags: { team: "shop" } }, "Allow"]),
    200,
  ],
  ["from: Allow, then Deny of a subset", from([everyone, "Allow"], [team("shop"), "Deny"]), 403],
  ["from: Deny, then Allow of a service", from([everyone, "Deny"], [frontend, "Allow"]), 200],
  ["from: Allow, then Deny of a service", from([everyone, "Allow"], [frontend, "Deny"]), 403],
  ["rules: allow Exact", rules({ allow: [self] }), 200],
  ["rules: allow Exact, of another client", rules({ allow: [other] }), 403],
  ["rules: allow Prefix", rules({ allow: [mesh] }), 200],
  ["rules: allow Prefix, of another mesh", rules({ allow: [prefix("spiffe://other")] }), 403],
  ["rules: allow, and deny of another client", rules({ allow: [mesh], deny: [other] }), 200],
  ["rules: deny Exact wins over allow", rules({ allow: [mesh, self], deny: [self] }), 403],
  ["rules: allowWithShadowDeny", rules({ allowWithShadowDeny: [self] }), 200],
  ["rules: deny Prefix wins over allowWithShadowDeny", rules({ allowWithShadowDeny: [self], deny: [mesh] }), 403],
];

/** What the shadow rules at the backends would have denied. */
async function shadowDenied({ v1, v2 }: Stage): Promise<number> {
  const texts = await Promise.all([v1, v2].map(({ proxy }) => proxy.admin("/stats?filter=rbac.*shadow_denied$")));
  return texts.flatMap((text) => [...text.matchAll(/: (\d+)/g)]).reduce((sum, [, count]) => sum + Number(count), 0);
}

test("MeshTrafficPermission", async (t) => {
  const stage = await policyStage(t);
  const { url, apply, remove, v1, counted } = stage;

  await t.test("nothing allows: 403, and nothing reaches an application", async () => {
    await answers(url, 403);
    assert.deepEqual(v1.seen, []);
  });

  for (const [what, spec, status] of table)
    await t.test(`${what}: ${status}`, async () => {
      await apply(kind, "permission", spec);
      await answers(url, status);
    });

  for (const [what, spec] of [
    ["from: AllowWithShadowDeny", from([everyone, "AllowWithShadowDeny"])],
    ["rules: allowWithShadowDeny", rules({ allowWithShadowDeny: [self] })],
  ] as const)
    await t.test(`${what} lets through and counts`, async () => {
      const before = await shadowDenied(stage);
      await apply(kind, "permission", spec);
      await soon("a request is counted", async () => {
        await answers(url, 200);
        assert.ok((await shadowDenied(stage)) > before);
      });
    });

  await t.test("Deny for the service wins over Allow for the mesh; removed, 200 again", async () => {
    await apply(kind, "allow-all", allowAll("default").spec);
    await apply(kind, "permission", from([frontend, "Deny"]));
    await answers(url, 403);
    await remove(kind, "permission");
    await answers(url, 200);
  });

  await t.test("a change applies to the next request of connections that are open", async () => {
    await answers(url, 200);
    const connections = await counted("cluster.backend.upstream_cx_total");
    for (const [action, status] of [
      ["Deny", 403],
      ["Allow", 200],
      ["Deny", 403],
    ] as const) {
      await apply(kind, "permission", from([everyone, action]));
      for (let i = 0; i < 4; i++) await answers(url, status);
    }
    assert.ok(connections > 0);
    assert.equal(await counted("cluster.backend.upstream_cx_total"), connections);
    await remove(kind, "permission");
  });

  await t.test("what is denied, and would be, is logged with the caller and the policy", () => withReasons(stage));

  await t.test("targetRef", (t) => ofSome(t, stage));

  await t.test("rules: sni, the name that a client asks for", () => byServerName(stage));

  await t.test("a TCP service: open where allowed, closed where not", async () => {
    const said = (received: string) => received === "hello";
    const isOpen = (expected: boolean) =>
      soon(expected ? "an echo" : "a closed connection", async () => {
        const { received } = await exchange({ port: stage.echoPort }, "hello", said);
        assert.equal(received, expected ? "hello" : "");
      });
    const echo = { targetRef: of("echo") };
    await isOpen(true);
    await apply(kind, "echo", { ...from([frontend, "Deny"]), ...echo });
    await isOpen(false);
    await answers(url, 200);
    await apply(kind, "echo", { ...rules({ allow: [self] }), ...echo });
    await isOpen(true);
    await apply(kind, "echo", { ...rules({ allow: [mesh], deny: [self] }), ...echo });
    await isOpen(false);
  });
});

const linesOf = (proxies: readonly LabProxy[]): readonly Line[] =>
  proxies.flatMap(({ lines }) => lines).filter(({ message }) => /^(denied|let through|refused)/.test(message));

/** Resolves when one of these proxies has told this, with at least these fields. */
const said = (proxies: readonly LabProxy[], message: string, fields: Readonly<Record<string, unknown>>) =>
  soon(`${message}: ${JSON.stringify(fields)}`, async () => {
    const lines = linesOf(proxies);
    const has = (line: Line) => Object.entries(fields).every(([name, value]) => line.fields[name] === value);
    assert.ok(
      lines.some((line) => line.message === message && has(line)),
      JSON.stringify(lines, undefined, 1),
    );
  });

const caller = "spiffe://default/frontend";
const kriOf = (name: string) => `kri_mtp_default_zone-a__${name}_`;
const wouldBe = "let through a request that AllowWithShadowDeny would deny";

async function withReasons(stage: Stage): Promise<void> {
  const { url, v1, v2, echoProxy, echoPort, apply, remove } = stage;
  const backends = [v1.proxy, v2.proxy];
  const request = { caller, service: "backend", method: "GET", path: "/private" };
  const ask = (status: number) => answers(`${url}/private?token=secret`, status);

  await said(backends, "denied a request: no MeshTrafficPermission allows it", {
    ...request,
    path: "/",
    policy: "none",
  });
  for (const [name, spec] of [
    ["of-two", from([everyone, "Allow"], [frontend, "Deny"])],
    ["by-identity", { targetRef: of("backend"), ...rules({ allow: [mesh], deny: [self] }) }],
  ] as const) {
    await apply(kind, name, spec);
    await ask(403);
    await said(backends, "denied a request: by permission", { ...request, policy: kriOf(name) });
    await remove(kind, name);
    await ask(200);
  }
  await apply(kind, "in-shadow", from([everyone, "AllowWithShadowDeny"]));
  await soon("a line", async () => {
    await ask(200);
    assert.ok(linesOf(backends).some(({ fields }) => fields.policy === kriOf("in-shadow")));
  });
  await said(backends, wouldBe, { ...request, policy: kriOf("in-shadow") });
  await remove(kind, "in-shadow");
  await soon("no shadow at either", async () => {
    const before = await shadowDenied(stage);
    for (let i = 0; i < 4; i++) await ask(200);
    assert.equal(await shadowDenied(stage), before);
  });

  // What is allowed leaves no line: it would have come before that of a later denial.
  for (let i = 0; i < 20; i++) await answers(`${url}/allowed`, 200);
  await apply(kind, "at-last", from([everyone, "Deny"]));
  for (const backend of backends)
    await soon("a line of each backend", async () => {
      await ask(403);
      assert.ok(linesOf([backend]).some(({ fields }) => fields.policy === kriOf("at-last")));
    });
  assert.deepEqual(
    linesOf(backends).filter(({ fields }) => fields.path === "/allowed"),
    [],
  );
  await remove(kind, "at-last");
  assert.doesNotMatch(JSON.stringify(backends.map(({ lines }) => lines)), /secret/);

  const connection = { caller, service: "echo" };
  const echoes = (expected: string) =>
    soon(`"${expected}"`, async () => {
      const { received } = await exchange({ port: echoPort }, "hello", (text) => text === "hello");
      assert.equal(received, expected);
    });
  const toEcho = { targetRef: of("echo") };
  await apply(kind, "echo-deny", { ...from([frontend, "Deny"]), ...toEcho });
  await echoes("");
  await said([echoProxy], "denied a connection: by permission", { ...connection, policy: kriOf("echo-deny") });
  await apply(kind, "echo-deny", { ...rules({ allow: [other] }), ...toEcho });
  await soon("another reason", async () => {
    await echoes("");
    assert.ok(linesOf([echoProxy]).some(({ fields }) => fields.policy === "none"));
  });
  await said([echoProxy], "denied a connection: no MeshTrafficPermission allows it", { ...connection, policy: "none" });
  await remove(kind, "echo-deny");
  await apply(kind, "echo-shadow", { ...from([frontend, "AllowWithShadowDeny"]), ...toEcho });
  await soon("a connection is counted", async () => {
    await echoes("hello");
    assert.match(await echoProxy.admin("/stats?filter=rbac.shadow_denied$"), /: [1-9]/);
  });
  await said([echoProxy], wouldBe.replace("request", "connection"), { ...connection, policy: kriOf("echo-shadow") });
  await remove(kind, "echo-shadow");
}

/** What is denied by a policy for some proxies, where all else is allowed. */
async function ofSome(t: TestContext, { url, v2, apply, remove }: Stage): Promise<void> {
  const versions = ["v1", "v2"].map((version) => ({
    matches: [{ path: { type: "PathPrefix", value: `/${version}` } }],
    default: { backendRefs: [{ kind: "MeshServiceSubset", name: "backend", tags: { version } }] },
  }));
  await apply("MeshHTTPRoute", "versions", { to: [{ targetRef: of("backend"), rules: versions }] });
  const version = (value: string) => ({ tags: { version: value } });
  const proxy = (ref: object) => ({ kind: "Dataplane", ...ref });
  // Each row differs from the one before.
  for (const [targetRef, ...statuses] of [
    [{ kind: "Mesh" }, 403, 403],
    [{ kind: "Mesh", proxyTypes: ["Gateway"] }, 200, 200],
    [{ kind: "Mesh", proxyTypes: ["Sidecar"] }, 403, 403],
    [{ kind: "MeshSubset", ...version("v1") }, 403, 200],
    [of("backend"), 403, 403],
    [of("other"), 200, 200],
    [{ kind: "MeshServiceSubset", name: "backend", ...version("v2") }, 200, 403],
    [proxy({}), 403, 403],
    [proxy({ name: "backend-v1" }), 403, 200],
    [proxy({ name: "backend-v2", sectionName: String(v2.inboundPort) }), 200, 403],
    [proxy({ name: "backend-v2", sectionName: "other" }), 200, 200],
    [proxy({ labels: { "kuma.io/zone": "zone-a" } }), 403, 403],
    [proxy({ labels: { "kuma.io/zone": "zone-b" } }), 200, 200],
  ] as const)
    await t.test(`${JSON.stringify(targetRef)}: ${statuses.join(", ")}`, async () => {
      await apply(kind, "a-deny", { targetRef, from: [{ targetRef: everyone, default: { action: "Deny" } }] });
      await soon("both", async () => {
        const found = await Promise.all(["v1", "v2"].map((path) => get(`${url}/${path}`)));
        assert.deepEqual(
          found.map(({ status }) => status),
          statuses,
        );
      });
    });
  await remove(kind, "a-deny");
}

/** A client with the certificate of `frontend`, as no proxy of this mesh asks for a DNS name. */
async function byServerName({ zone, v1, echoAt, apply, remove, url }: Stage): Promise<void> {
  const identity = { mesh: "default", services: ["frontend"], tags: { "kuma.io/service": ["frontend"] } };
  const leaf = await createIssuer(authorityOf("default", zone)).issue(identity, Date.now());
  const client = { cert: leaf.chain, key: leaf.privateKey, rejectUnauthorized: false, agent: false };
  const status = (servername: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const request = getOverTls({ ...client, host: v1.address, port: v1.inboundPort, servername }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      request.on("error", reject);
    });
  const echoed = (servername: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({ ...client, ...echoAt, servername }, () => socket.write("hello"));
      socket.on("error", () => {});
      socket.on("data", (chunk) => socket.end(() => resolve(String(chunk))));
      socket.on("close", () => resolve(""));
    });

  const name = (value: string) => ({ sni: { type: "Exact", value } });
  const both = { ...self, ...name("admin.test") };
  for (const [what, conf, admin, others] of [
    ["allow by name alone", { allow: [name("admin.test")] }, true, false],
    ["deny by name alone", { allow: [mesh], deny: [name("admin.test")] }, false, true],
    ["allow by identity and name", { allow: [both] }, true, false],
    ["deny by identity and name", { allow: [mesh], deny: [both] }, false, true],
    ["allowWithShadowDeny by name", { allowWithShadowDeny: [name("admin.test")] }, true, false],
    ["deny of another identity by name", { allow: [mesh], deny: [{ ...other, ...name("admin.test") }] }, true, true],
  ] as const) {
    await apply(kind, "permission", rules(conf));
    await soon(what, async () => {
      assert.equal(await status("admin.test"), admin ? 200 : 403);
      assert.equal(await status("other.test"), others ? 200 : 403);
      assert.equal(await echoed("admin.test"), admin ? "hello" : "");
      assert.equal(await echoed("other.test"), others ? "hello" : "");
    });
    await answers(url, others ? 200 : 403);
  }
  await remove(kind, "permission");
}
