// Each field of MeshHTTPRoute, by requests: what a client is answered, and what an application sees.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, get } from "../lab/http.ts";
import { allowAll } from "../lab/manifests.ts";
import { answers, exchange, policyStage, type Stage, soon } from "./stage.ts";

type Headers = Readonly<Record<string, string>>;
const kind = "MeshHTTPRoute";
const service = { kind: "MeshService", name: "backend" };
const subset = (version: string, weight = 1) => ({
  kind: "MeshServiceSubset",
  name: "backend",
  tags: { version },
  weight,
});
const under = (value: string) => ({ path: { type: "PathPrefix", value } });
const rule = (match: object, filters: readonly object[], backendRefs?: readonly object[]) => ({
  matches: [match],
  default: { filters, ...(backendRefs && { backendRefs }) },
});

let changes = 0;

/** Applies these rules, and one by which it can be seen that they are in force. */
async function inForce({ apply, url }: Stage, rules: readonly object[]): Promise<void> {
  const change = `/change-${++changes}`;
  const redirect = { type: "RequestRedirect", requestRedirect: { statusCode: 308 } };
  await apply(kind, "route", { to: [{ targetRef: service, rules: [...rules, rule(under(change), [redirect])] }] });
  await answers(url + change, 308);
}

interface Seen {
  readonly instance: string;
  readonly path: string;
  readonly headers: Headers;
}
const seenBy = ({ text }: Answer): Seen => JSON.parse(text);

type Request = readonly [isTaken: boolean, path: string, headers?: Headers, method?: string];

/** A rule by its name, and requests that it takes or leaves. */
type Matching = readonly [name: string, match: object, requests: readonly Request[]];
const matching: readonly Matching[] = [
  [
    "path Exact",
    { path: { type: "Exact", value: "/exact" } },
    [
      [true, "/exact"],
      [true, "/exact?a=b"],
      [false, "/exact/"],
      [false, "/exactly"],
      [false, "/Exact"],
    ],
  ],
  [
    "path PathPrefix, of whole elements",
    under("/prefix"),
    [
      [true, "/prefix"],
      [true, "/prefix?a=b"],
      [true, "/prefix/"],
      [true, "/prefix/more"],
      [false, "/prefixed"],
    ],
  ],
  [
    "path RegularExpression, of the whole path",
    { path: { type: "RegularExpression", value: "/regex/[0-9]+" } },
    [
      [true, "/regex/12"],
      [true, "/regex/12?a=b"],
      [false, "/regex/x"],
      [false, "/regex/12/x"],
      [false, "/a/regex/12"],
    ],
  ],
  [
    "method",
    { ...under("/method"), method: "PUT" },
    [
      [true, "/method", {}, "PUT"],
      [false, "/method", {}, "GET"],
      [false, "/method", {}, "POST"],
    ],
  ],
  ...["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "TRACE"].map(
    (method): Matching => [
      `method ${method}`,
      { ...under(`/${method}`), method },
      [
        [true, `/${method}`, {}, method],
        [false, `/${method}`, {}, "PUT"],
      ],
    ],
  ),
  [
    "headers Exact",
    { ...under("/exact-header"), headers: [{ type: "Exact", name: "x-a", value: "one" }] },
    [
      [true, "/exact-header", { "x-a": "one" }],
      [false, "/exact-header", { "x-a": "one more" }],
      [false, "/exact-header"],
    ],
  ],
  [
    "headers without a type are Exact",
    { ...under("/default-header"), headers: [{ name: "x-a", value: "one" }] },
    [
      [true, "/default-header", { "x-a": "one" }],
      [false, "/default-header", { "x-a": "two" }],
    ],
  ],
  [
    "headers Present",
    { ...under("/present"), headers: [{ type: "Present", name: "x-a" }] },
    [
      [true, "/present", { "x-a": "any" }],
      [false, "/present", { "x-b": "any" }],
    ],
  ],
  [
    "headers Absent",
    { ...under("/absent"), headers: [{ type: "Absent", name: "x-a" }] },
    [
      [true, "/absent", { "x-b": "any" }],
      [false, "/absent", { "x-a": "any" }],
    ],
  ],
  [
    "headers Prefix",
    { ...under("/header-prefix"), headers: [{ type: "Prefix", name: "x-a", value: "one" }] },
    [
      [true, "/header-prefix", { "x-a": "one more" }],
      [false, "/header-prefix", { "x-a": "no one" }],
      [false, "/header-prefix"],
    ],
  ],
  [
    "headers RegularExpression, of the whole value",
    { ...under("/header-regex"), headers: [{ type: "RegularExpression", name: "x-a", value: "[a-c]{2}" }] },
    [
      [true, "/header-regex", { "x-a": "ab" }],
      [false, "/header-regex", { "x-a": "abc" }],
      [false, "/header-regex"],
    ],
  ],
  [
    "queryParams Exact",
    { ...under("/query"), queryParams: [{ type: "Exact", name: "a", value: "one" }] },
    [
      [true, "/query?a=one"],
      [true, "/query?b=1&a=one"],
      [false, "/query?a=two"],
      [false, "/query?b=one"],
      [false, "/query"],
    ],
  ],
  [
    "queryParams RegularExpression, of the whole value",
    { ...under("/query-regex"), queryParams: [{ type: "RegularExpression", name: "a", value: "[0-9]+" }] },
    [
      [true, "/query-regex?a=12"],
      [false, "/query-regex?a=12x"],
      [false, "/query-regex"],
    ],
  ],
  [
    "conditions of one match hold together",
    {
      ...under("/all"),
      method: "POST",
      headers: [
        { name: "x-a", value: "one" },
        { type: "Present", name: "x-b" },
      ],
      queryParams: [{ type: "Exact", name: "a", value: "one" }],
    },
    [
      [true, "/all?a=one", { "x-a": "one", "x-b": "" }, "POST"],
      [false, "/all?a=one", { "x-a": "one" }, "POST"],
      [false, "/all", { "x-a": "one", "x-b": "" }, "POST"],
      [false, "/all?a=one", { "x-a": "one", "x-b": "" }, "GET"],
    ],
  ],
];

const modifier = (of: "request" | "response") => ({
  type: of === "request" ? "RequestHeaderModifier" : "ResponseHeaderModifier",
  [`${of}HeaderModifier`]: {
    set: [{ name: of === "request" ? "x-set" : "x-app", value: "100% new" }],
    add: [{ name: "x-add", value: "more" }],
    remove: [of === "request" ? "x-remove" : "content-type"],
  },
});

const full = (replaceFullPath: string) => ({ path: { type: "ReplaceFullPath", replaceFullPath } });
const prefix = (replacePrefixMatch: string) => ({ path: { type: "ReplacePrefixMatch", replacePrefixMatch } });

/** Of requests for `shop.test:81`. */
const redirects: readonly (readonly [redirect: object, path: string, status: number, location: string])[] = [
  [{}, "/here?a=b", 302, "http://shop.test:81/here?a=b"],
  [{ scheme: "https" }, "/here", 302, "https://shop.test:81/here"],
  [{ hostname: "other.test" }, "/here", 302, "http://other.test/here"],
  [{ port: 8080 }, "/here", 302, "http://shop.test:8080/here"],
  [full("/there"), "/here/x?a=b", 302, "http://shop.test:81/there?a=b"],
  [prefix("/there"), "/here/x", 302, "http://shop.test:81/there/x"],
  [prefix("/there"), "/here", 302, "http://shop.test:81/there"],
  ...[301, 302, 303, 307, 308].map(
    (statusCode) => [{ statusCode }, "/here", statusCode, "http://shop.test:81/here"] as const,
  ),
];

const rewrites: readonly (readonly [urlRewrite: object, path: string, seen: string])[] = [
  [full("/there"), "/here/x?a=b", "/there?a=b"],
  [full("/a\\1b"), "/here", "/a\\1b"],
  [prefix("/there"), "/here", "/there"],
  [prefix("/there"), "/here/x?a=b", "/there/x?a=b"],
  [prefix("/"), "/here", "/"],
  [prefix("/"), "/here/x", "/x"],
  [prefix(""), "/here/x", "/x"],
];

test("MeshHTTPRoute", async (t) => {
  const stage = await policyStage(t);
  const { url, apply, remove, v1, v2 } = stage;
  await apply("MeshTrafficPermission", "allow-all", allowAll("default").spec);
  await soon("both instances", async () => {
    assert.equal((await get(url)).status, 200);
    assert.ok(v1.seen.length > 0 && v2.seen.length > 0);
  });

  await t.test("matches", async (t) => {
    const marked = (value: string) => ({
      type: "ResponseHeaderModifier",
      responseHeaderModifier: { set: [{ name: "x-rule", value }] },
    });
    await inForce(
      stage,
      matching.map(([name, match]) => rule(match, [marked(name)])),
    );
    for (const [name, , requests] of matching)
      await t.test(name, async () => {
        for (const [isTaken, path, headers = {}, method = "GET"] of requests) {
          const answer = await get(url + path, headers, method);
          assert.equal(answer.status, 200);
          const what = `${method} ${path} ${JSON.stringify(headers)}`;
          assert.equal(answer.headers["x-rule"], isTaken ? name : undefined, what);
        }
      });
  });

  await t.test("method CONNECT: a proxy leads no tunnels: 404, whatever matches", async () => {
    await inForce(stage, [rule({ method: "CONNECT" }, [])]);
    const request = "CONNECT backend:80 HTTP/1.1\r\nhost: backend:80\r\n\r\n";
    const { received } = await exchange({ port: Number(new URL(url).port) }, request, (text) => text !== "");
    assert.match(received, /^HTTP\/1.1 404 /);
  });

  await t.test("requestHeaderModifier: set, add, remove", async () => {
    await inForce(stage, [rule(under("/modify"), [modifier("request")])]);
    const sent = { "x-set": "old", "x-add": "first", "x-remove": "here", "x-other": "kept" };
    const { headers } = seenBy(await get(`${url}/modify`, sent));
    assert.equal(headers["x-set"], "100% new");
    assert.match(headers["x-add"] ?? "", /^first, ?more$/);
    assert.equal(headers["x-remove"], undefined);
    assert.equal(headers["x-other"], "kept");
    assert.equal(seenBy(await get(`${url}/other`, sent)).headers["x-set"], "old");
  });

  await t.test("responseHeaderModifier: set, add, remove", async () => {
    await inForce(stage, [rule(under("/modify"), [modifier("response")])]);
    const { headers } = await get(`${url}/modify`);
    assert.equal(headers["x-app"], "100% new");
    assert.equal(headers["x-add"], "more");
    assert.equal(headers["content-type"], undefined);
    assert.match(String((await get(`${url}/other`)).headers["x-app"]), /^v[12]$/);
  });

  for (const [requestRedirect, path, status, location] of redirects)
    await t.test(`requestRedirect: ${JSON.stringify(requestRedirect)} of ${path}`, async () => {
      await inForce(stage, [rule(under("/here"), [{ type: "RequestRedirect", requestRedirect }])]);
      const answer = await get(url + path, { host: "shop.test:81" });
      assert.deepEqual([answer.status, answer.headers.location], [status, location]);
    });

  for (const [urlRewrite, path, expected] of rewrites)
    await t.test(`urlRewrite: ${JSON.stringify(urlRewrite)} of ${path}`, async () => {
      await inForce(stage, [rule(under("/here"), [{ type: "URLRewrite", urlRewrite }])]);
      assert.equal(seenBy(await get(url + path)).path, expected);
    });

  await t.test("urlRewrite: hostname", async () => {
    await inForce(stage, [rule(under("/here"), [{ type: "URLRewrite", urlRewrite: { hostname: "other.test" } }])]);
    assert.equal(seenBy(await get(`${url}/here`, { host: "shop.test" })).headers.host, "other.test");
    assert.equal(seenBy(await get(`${url}/there`, { host: "shop.test" })).headers.host, "shop.test");
  });

  await t.test("backendRefs: shares are as the weights", async () => {
    await inForce(stage, [rule(under("/split"), [], [subset("v1", 90), subset("v2", 10)])]);
    let first = 0;
    for (let i = 0; i < 1000; i++) if (seenBy(await get(`${url}/split`)).instance === "v1") first++;
    // Five standard deviations.
    assert.ok(Math.abs(first - 900) < 48, `${first} of 1000 at v1`);
  });

  await t.test("backendRefs: a MeshServiceSubset; weight 0 gets nothing; without any weight, 500", async () => {
    await inForce(stage, [
      rule(under("/subset"), [], [subset("v2")]),
      rule(under("/one"), [], [subset("v1", 0), subset("v2", 1)]),
      rule(under("/none"), [], [subset("v1", 0), subset("v2", 0)]),
    ]);
    for (const path of ["/subset", "/one"])
      for (let i = 0; i < 20; i++) assert.equal(seenBy(await get(url + path)).instance, "v2");
    assert.equal((await get(`${url}/none`)).status, 500);
  });

  await t.test("backendRefs: a MeshService shares among its instances", async () => {
    await inForce(stage, [rule(under("/split"), [], [service])]);
    const instances = new Set<string>();
    for (let i = 0; i < 20; i++) instances.add(seenBy(await get(`${url}/split`)).instance);
    assert.deepEqual([...instances].sort(), ["v1", "v2"]);
  });

  await t.test("backendRefs: of resources nothing is known: others get their share; without others, 500", async () => {
    const resources = [
      { ...service, port: 80 },
      { kind: "MeshService", labels: { app: "backend" }, port: 80 },
      { kind: "MeshMultiZoneService", name: "backend", port: 80 },
      { kind: "MeshExternalService", name: "backend" },
    ];
    const mirror = { type: "RequestMirror", requestMirror: { backendRef: resources[0] } };
    await inForce(stage, [
      ...resources.map((ref, i) => rule(under(`/resource-${i}`), [], [ref])),
      rule(under("/shared"), [], [subset("v1"), ...resources]),
      rule(under("/mirrored"), [mirror], [subset("v1")]),
    ]);
    for (const i of resources.keys()) {
      const { status, text } = await get(`${url}/resource-${i}`);
      assert.deepEqual([status, text], [500, "no backend of this route is known"]);
    }
    for (let i = 0; i < 20; i++) assert.equal(seenBy(await get(`${url}/shared`)).instance, "v1");
    assert.equal(seenBy(await get(`${url}/mirrored`)).instance, "v1");
  });

  const mirrored = (path: string): number => v2.seen.filter((seen) => seen.path === path).length;
  const mirror = (more: object = {}) => ({
    type: "RequestMirror",
    requestMirror: { backendRef: subset("v2"), ...more },
  });

  await t.test("requestMirror: every request goes to the mirror too", async () => {
    await inForce(stage, [rule(under("/mirror"), [mirror()], [subset("v1")])]);
    for (let i = 0; i < 50; i++) assert.equal(seenBy(await get(`${url}/mirror`)).instance, "v1");
    await soon("the last copy", async () => assert.equal(mirrored("/mirror"), 50));
  });

  for (const [percentage, path, least, most] of [
    [0, "/mirror-0", 0, 0],
    [50, "/mirror-50", 140, 260],
    ["12.5", "/mirror-12", 17, 83],
  ] as const)
    await t.test(`requestMirror: percentage ${percentage}`, async () => {
      const end = `${path}-end`;
      await inForce(stage, [
        rule(under(path), [mirror({ percentage })], [subset("v1")]),
        rule(under(end), [mirror()], [subset("v1")]),
      ]);
      for (let i = 0; i < 400; i++) await get(url + path);
      // The copies of all requests before this one have then been sent.
      await get(url + end);
      await soon("the last copy", async () => assert.equal(mirrored(end), 1));
      const found = mirrored(path);
      assert.ok(found >= least && found <= most, `${found} of 400`);
    });

  await t.test("removed, requests go as before", async () => {
    await inForce(stage, [rule(under("/"), [modifier("response")])]);
    assert.equal((await get(url)).headers["x-add"], "more");
    await remove(kind, "route");
    await soon("no header", async () => assert.equal((await answers(url, 200)).headers["x-add"], undefined));
  });
});
