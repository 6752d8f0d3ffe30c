// What is refused, and how it is said.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import { unknownMembers, validateResource } from "#policies/kinds.ts";
import { meshHttpRoute } from "#policies/mesh-http-route/translate.ts";
import { written } from "#policies/policy-for-test.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Labels } from "#resources/resource.ts";

const issuesOf = (kind: string, spec: JsonObject, labels: Labels = {}) =>
  validateResource(kindNamed(kind), written(kind, { labels, spec }));

interface Row {
  readonly kind: string;
  readonly spec: JsonObject;
  readonly labels?: Labels;
  readonly says: string;
}
const timeout = (conf: JsonObject, top: JsonObject = { kind: "Mesh" }): JsonObject => ({
  targetRef: top,
  to: [{ targetRef: { kind: "Mesh" }, default: conf }],
});
const retry = (conf: JsonObject): JsonObject => ({ to: [{ targetRef: { kind: "Mesh" }, default: conf }] });
const toRef = (targetRef: JsonObject): JsonObject => ({ to: [{ targetRef, default: { connectionTimeout: "1s" } }] });
const topRef = (targetRef: JsonObject): JsonObject => ({ ...timeout({ connectionTimeout: "1s" }), targetRef });
const allow = (match: JsonObject): JsonObject => ({ rules: [{ default: { allow: [match] } }] });
const routeRule = (rule: JsonObject): JsonObject => ({
  to: [{ targetRef: { kind: "MeshService", name: "x" }, rules: [rule] }],
});
const matching = (match: JsonObject): JsonObject => routeRule({ matches: [match], default: {} });
const filtering = (filter: JsonObject, path: JsonObject = { type: "PathPrefix", value: "/a" }): JsonObject =>
  routeRule({ matches: [{ path }], default: { filters: [filter] } });
const backend = (ref: JsonObject): JsonObject =>
  routeRule({ matches: [{ path: { type: "PathPrefix", value: "/" } }], default: { backendRefs: [ref] } });

const rows: readonly Row[] = [
  // shapes
  {
    kind: "MeshTimeout",
    spec: timeout({ connectionTimeout: 5 }),
    says: "spec.to[0].default.connectionTimeout: must be a string; put quotes around it",
  },
  {
    kind: "MeshTimeout",
    spec: timeout({ http: { requestTimeout: "5 s" } }),
    says: "spec.to[0].default.http.requestTimeout: must be a duration, like 5s or 1h30m",
  },
  {
    kind: "MeshTimeout",
    spec: timeout({ idleTimeout: "9999999h" }),
    says: "spec.to[0].default.idleTimeout: must be a duration, like 5s or 1h30m",
  },
  {
    kind: "MeshTimeout",
    spec: { to: [{ default: { idleTimeout: "1s" } }] },
    says: "spec.to[0].targetRef: is required",
  },
  { kind: "MeshTimeout", spec: { to: {} }, says: "spec.to: must be a list" },
  {
    kind: "MeshTimeout",
    spec: toRef({ kind: "Foo" }),
    says: "spec.to[0].targetRef.kind: must be one of Mesh, Dataplane, MeshSubset, MeshGateway, MeshService, MeshExternalService, MeshMultiZoneService, MeshServiceSubset, MeshHTTPRoute",
  },
  { kind: "MeshTimeout", spec: toRef({}), says: "spec.to[0].targetRef.kind: is required" },
  // targetRef
  {
    kind: "MeshTimeout",
    spec: toRef({ kind: "MeshService" }),
    says: "spec.to[0].targetRef: must have name or labels with kind MeshService",
  },
  {
    kind: "MeshTimeout",
    spec: toRef({ kind: "MeshService", name: "a", labels: { b: "c" } }),
    says: "spec.to[0].targetRef.labels: must not be set beside name: use one of them",
  },
  {
    kind: "MeshTimeout",
    spec: toRef({ kind: "MeshService", labels: { b: "c" }, namespace: "d" }),
    says: "spec.to[0].targetRef.namespace: can only be set beside name",
  },
  {
    kind: "MeshTimeout",
    spec: toRef({ kind: "MeshService", name: "A" }),
    says: "spec.to[0].targetRef.name: must have only lower case letters, digits and . - _",
  },
  {
    kind: "MeshTimeout",
    spec: toRef({ kind: "MeshService", name: "a", tags: { b: "c" } }),
    says: "spec.to[0].targetRef.tags: must not be set with kind MeshService",
  },
  {
    kind: "MeshTimeout",
    spec: toRef({ kind: "Mesh", mesh: "other" }),
    says: "spec.to[0].targetRef.mesh: must not be set with kind Mesh",
  },
  {
    kind: "MeshTimeout",
    spec: toRef({ kind: "MeshExternalService", name: "a", sectionName: "b" }),
    says: "spec.to[0].targetRef.sectionName: must not be set with kind MeshExternalService",
  },
  {
    kind: "MeshTimeout",
    spec: toRef({ kind: "MeshSubset", tags: { a: "b" } }),
    says: "spec.to[0].targetRef.kind: must be one of Mesh, MeshService, MeshExternalService, MeshMultiZoneService, MeshHTTPRoute here, not MeshSubset",
  },
  {
    kind: "MeshTimeout",
    spec: topRef({ kind: "Mesh", proxyTypes: [] }),
    says: "spec.targetRef.proxyTypes: must have an item, Sidecar or Gateway, or be left out",
  },
  {
    kind: "MeshTimeout",
    spec: topRef({ kind: "MeshServiceSubset", tags: { a: "b" } }),
    says: "spec.targetRef.name: is required with kind MeshServiceSubset",
  },
  {
    kind: "MeshTimeout",
    spec: topRef({ kind: "MeshSubset", tags: { "a b": "c" } }),
    says: 'spec.targetRef.tags["a b"]: must have a name of letters, digits and . - _ : /',
  },
  {
    kind: "MeshTimeout",
    spec: topRef({ kind: "MeshSubset", tags: { a: "b c" } }),
    says: 'spec.targetRef.tags["a"]: must be letters, digits and . - _ :, or * for any value',
  },
  {
    kind: "MeshTimeout",
    labels: { "kuma.io/policy-role": "consumer" },
    spec: topRef({ kind: "MeshGateway", name: "g" }),
    says: "spec.targetRef.kind: must be one of Mesh, Dataplane, MeshSubset, MeshService, MeshServiceSubset here, not MeshGateway",
  },
  // MeshTimeout
  {
    kind: "MeshTimeout",
    spec: { from: [], to: [] },
    says: "spec: must have from or to or rules, with at least one entry",
  },
  { kind: "MeshTimeout", spec: timeout({}), says: "spec.to[0].default: must have a timeout" },
  {
    kind: "MeshTimeout",
    spec: timeout({ http: {} }),
    says: "spec.to[0].default.http: must have a timeout, or be left out",
  },
  {
    kind: "MeshTimeout",
    spec: timeout({ connectionTimeout: "0s" }),
    says: "spec.to[0].default.connectionTimeout: must be greater than 0s: Envoy can't wait for a connection without a limit",
  },
  {
    kind: "MeshTimeout",
    spec: timeout({ connectionTimeout: "0.9ns" }),
    says: "spec.to[0].default.connectionTimeout: must be greater than 0s: Envoy can't wait for a connection without a limit",
  },
  {
    kind: "MeshTimeout",
    spec: timeout({ http: { requestTimeout: "-1s" } }),
    says: "spec.to[0].default.http.requestTimeout: must not be negative; 0s is no limit",
  },
  {
    kind: "MeshTimeout",
    spec: timeout({ idleTimeout: "1s" }, { kind: "MeshHTTPRoute", name: "r" }),
    says: "spec.to[0].default.idleTimeout: must be left out with a targetRef of kind MeshHTTPRoute: routes share their connections",
  },
  // MeshRetry
  { kind: "MeshRetry", spec: retry({}), says: "spec.to[0].default: must have http, grpc or tcp" },
  {
    kind: "MeshRetry",
    spec: retry({ tcp: {} }),
    says: "spec.to[0].default.tcp.maxConnectAttempt: is required with tcp",
  },
  {
    kind: "MeshRetry",
    spec: retry({ tcp: { maxConnectAttempt: 0 } }),
    says: "spec.to[0].default.tcp.maxConnectAttempt: must be 1 or more: the first attempt counts",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: {} }),
    says: "spec.to[0].default.http: must say something of retries, or be left out",
  },
  {
    kind: "MeshRetry",
    spec: retry({ grpc: {} }),
    says: "spec.to[0].default.grpc: must say something of retries, or be left out",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { numRetries: -1 } }),
    says: "spec.to[0].default.http.numRetries: must be 0 or more",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { perTryTimeout: "-1s" } }),
    says: "spec.to[0].default.http.perTryTimeout: must not be negative; 0s is no limit",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { backOff: {} } }),
    says: "spec.to[0].default.http.backOff: must have baseInterval or maxInterval",
  },
  {
    kind: "MeshRetry",
    spec: retry({ grpc: { backOff: { baseInterval: "0s" } } }),
    says: "spec.to[0].default.grpc.backOff.baseInterval: must be greater than 0s",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { backOff: { maxInterval: "0.9ns" } } }),
    says: "spec.to[0].default.http.backOff.maxInterval: must be greater than 0s",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { rateLimitedBackOff: { maxInterval: "1s" } } }),
    says: "spec.to[0].default.http.rateLimitedBackOff.resetHeaders: must have 1 item or more",
  },
  {
    kind: "MeshRetry",
    spec: retry({
      grpc: { rateLimitedBackOff: { resetHeaders: [{ name: "retry-after", format: "Seconds" }], maxInterval: "0s" } },
    }),
    says: "spec.to[0].default.grpc.rateLimitedBackOff.maxInterval: must be greater than 0s",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { rateLimitedBackOff: { resetHeaders: [{ name: "Retry-After", format: "Seconds" }] } } }),
    says: "spec.to[0].default.http.rateLimitedBackOff.resetHeaders[0].name: must be a header name in lower case, like x-request-id",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { rateLimitedBackOff: { resetHeaders: [{ name: "retry-after" }] } } }),
    says: "spec.to[0].default.http.rateLimitedBackOff.resetHeaders[0].format: is required",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { retryOn: ["5xx", "HttpMethodGet", "503", "600"] } }),
    says: 'spec.to[0].default.http.retryOn[3]: must be one of 5xx, GatewayError, Reset, Retriable4xx, ConnectFailure, EnvoyRatelimited, RefusedStream, Http3PostConnectFailure, HttpMethodConnect, HttpMethodDelete, HttpMethodGet, HttpMethodHead, HttpMethodOptions, HttpMethodPatch, HttpMethodPost, HttpMethodPut, HttpMethodTrace or a status like "503"',
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { retryOn: [503] } }),
    says: "spec.to[0].default.http.retryOn[0]: must be a string; put quotes around it",
  },
  {
    kind: "MeshRetry",
    spec: retry({ grpc: { retryOn: ["Cancelled"] } }),
    says: "spec.to[0].default.grpc.retryOn[0]: must be one of Canceled, DeadlineExceeded, Internal, ResourceExhausted, Unavailable",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { retriableRequestHeaders: [{ name: "x", type: "Present", value: "y" }] } }),
    says: "spec.to[0].default.http.retriableRequestHeaders[0].value: must be left out with type Present",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { retriableResponseHeaders: [{ name: "x", type: "RegularExpression", value: "(" }] } }),
    says: "spec.to[0].default.http.retriableResponseHeaders[0].value: must be a regular expression in RE2's syntax: missing closing ): (",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { hostSelection: [{ predicate: "OmitHostsWithTags" }] } }),
    says: "spec.to[0].default.http.hostSelection[0].tags: is required with predicate OmitHostsWithTags",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { hostSelection: [{ predicate: "OmitPreviousPriorities", updateFrequency: 0 }] } }),
    says: "spec.to[0].default.http.hostSelection[0].updateFrequency: must be 1 or more",
  },
  {
    kind: "MeshRetry",
    spec: retry({
      http: { hostSelection: [{ predicate: "OmitPreviousPriorities" }, { predicate: "OmitPreviousPriorities" }] },
    }),
    says: "spec.to[0].default.http.hostSelection[1].predicate: must not be given twice: OmitPreviousPriorities",
  },
  {
    kind: "MeshRetry",
    spec: retry({ http: { hostSelectionMaxAttempts: 0.5 } }),
    says: "spec.to[0].default.http.hostSelectionMaxAttempts: must be a whole number",
  },
  // MeshTrafficPermission
  {
    kind: "MeshTrafficPermission",
    spec: { from: [{ targetRef: { kind: "Mesh" }, default: {} }] },
    says: "spec.from[0].default.action: is required",
  },
  {
    kind: "MeshTrafficPermission",
    spec: { from: [{ targetRef: { kind: "Mesh" }, default: { action: "ALLOW" } }] },
    says: "spec.from[0].default.action: must be one of Allow, Deny, AllowWithShadowDeny",
  },
  { kind: "MeshTrafficPermission", spec: allow({}), says: "spec.rules[0].default.allow[0]: must have spiffeID or sni" },
  {
    kind: "MeshTrafficPermission",
    spec: allow({ spiffeID: { type: "Exact", value: "default/x" } }),
    says: "spec.rules[0].default.allow[0].spiffeID.value: must be a SPIFFE ID, like spiffe://default/backend",
  },
  {
    kind: "MeshTrafficPermission",
    spec: allow({ spiffeID: { type: "Prefix", value: "spiffe://default/" } }),
    says: "spec.rules[0].default.allow[0].spiffeID.value: must not end in a slash; a prefix matches what begins with it anyway",
  },
  {
    kind: "MeshTrafficPermission",
    spec: allow({ spiffeID: { type: "Exact", value: "spiffe://default/a//b" } }),
    says: "spec.rules[0].default.allow[0].spiffeID.value: must have a path of letters, digits and . - _ between slashes",
  },
  {
    kind: "MeshTrafficPermission",
    spec: allow({ sni: { type: "Exact", value: "A_b" } }),
    says: "spec.rules[0].default.allow[0].sni.value: must be a DNS name, like backend.example.com",
  },
  // MeshHTTPRoute
  {
    kind: "MeshHTTPRoute",
    spec: routeRule({ matches: [], default: {} }),
    says: "spec.to[0].rules[0].matches: must have 1 item or more",
  },
  {
    kind: "MeshHTTPRoute",
    spec: matching({ path: { type: "PathPrefix", value: "a" } }),
    says: "spec.to[0].rules[0].matches[0].path.value: must begin with /",
  },
  {
    kind: "MeshHTTPRoute",
    spec: matching({ path: { type: "PathPrefix", value: "/a/" } }),
    says: "spec.to[0].rules[0].matches[0].path.value: must not end in /: a prefix matches whole path elements anyway",
  },
  {
    kind: "MeshHTTPRoute",
    spec: matching({ path: { type: "RegularExpression", value: "/(a" } }),
    says: "spec.to[0].rules[0].matches[0].path.value: must be a regular expression in RE2's syntax: missing closing ): /(a",
  },
  {
    kind: "MeshHTTPRoute",
    spec: matching({ path: { type: "RegularExpression", value: "/a(?!b)" } }),
    says: "spec.to[0].rules[0].matches[0].path.value: must be a regular expression in RE2's syntax: invalid or unsupported Perl syntax: (?!",
  },
  {
    kind: "MeshHTTPRoute",
    spec: matching({ headers: [{ name: "x", type: "RegularExpression" }] }),
    says: "spec.to[0].rules[0].matches[0].headers[0].value: must be a regular expression in RE2's syntax: it is empty",
  },
  {
    kind: "MeshHTTPRoute",
    spec: matching({ headers: [{ name: "X-A" }] }),
    says: "spec.to[0].rules[0].matches[0].headers[0].name: must be a header name in lower case, like x-request-id",
  },
  {
    kind: "MeshHTTPRoute",
    spec: matching({ headers: [{ name: "x", type: "Present", value: "y" }] }),
    says: "spec.to[0].rules[0].matches[0].headers[0].value: must be left out with type Present",
  },
  {
    kind: "MeshHTTPRoute",
    spec: matching({
      queryParams: [
        { type: "Exact", name: "q", value: "1" },
        { type: "Exact", name: "q", value: "2" },
      ],
    }),
    says: "spec.to[0].rules[0].matches[0].queryParams[1].name: must not be given twice: q",
  },
  {
    kind: "MeshHTTPRoute",
    spec: filtering({ type: "URLRewrite" }),
    says: "spec.to[0].rules[0].default.filters[0].urlRewrite: is required with type URLRewrite",
  },
  {
    kind: "MeshHTTPRoute",
    spec: filtering({ type: "RequestHeaderModifier", requestHeaderModifier: {} }),
    says: "spec.to[0].rules[0].default.filters[0].requestHeaderModifier: must have set, add or remove",
  },
  {
    kind: "MeshHTTPRoute",
    spec: filtering({
      type: "RequestHeaderModifier",
      requestHeaderModifier: { set: [{ name: "a", value: "b" }], remove: ["a"] },
    }),
    says: "spec.to[0].rules[0].default.filters[0].requestHeaderModifier.remove[0]: must not be changed twice: a",
  },
  {
    kind: "MeshHTTPRoute",
    spec: filtering({ type: "RequestHeaderModifier", requestHeaderModifier: { set: [{ name: "host", value: "b" }] } }),
    says: "spec.to[0].rules[0].default.filters[0].requestHeaderModifier.set[0].name: must not be host: use a filter of type URLRewrite with hostname",
  },
  {
    kind: "MeshHTTPRoute",
    spec: filtering({
      type: "ResponseHeaderModifier",
      responseHeaderModifier: { set: [{ name: "a", value: "b\nc" }] },
    }),
    says: "spec.to[0].rules[0].default.filters[0].responseHeaderModifier.set[0].value: must be one line",
  },
  {
    kind: "MeshHTTPRoute",
    spec: filtering(
      { type: "URLRewrite", urlRewrite: { path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/b" } } },
      { type: "Exact", value: "/a" },
    ),
    says: "spec.to[0].rules[0].default.filters[0].urlRewrite.path.replacePrefixMatch: can only be set if all matches have a path of type PathPrefix",
  },
  {
    kind: "MeshHTTPRoute",
    spec: filtering({ type: "URLRewrite", urlRewrite: { path: { type: "ReplaceFullPath", replaceFullPath: "b" } } }),
    says: "spec.to[0].rules[0].default.filters[0].urlRewrite.path.replaceFullPath: must begin with / and have no spaces",
  },
  {
    kind: "MeshHTTPRoute",
    spec: filtering({ type: "URLRewrite", urlRewrite: { path: { type: "ReplaceFullPath" } } }),
    says: "spec.to[0].rules[0].default.filters[0].urlRewrite.path.replaceFullPath: is required with type ReplaceFullPath",
  },
  {
    kind: "MeshHTTPRoute",
    spec: filtering({ type: "URLRewrite", urlRewrite: { hostToBackendHostname: true } }),
    says: "spec.to[0].rules[0].default.filters[0].urlRewrite.hostToBackendHostname: can only be set with a targetRef of kind MeshGateway",
  },
  {
    kind: "MeshHTTPRoute",
    spec: filtering({ type: "RequestRedirect", requestRedirect: { statusCode: 304 } }),
    says: "spec.to[0].rules[0].default.filters[0].requestRedirect.statusCode: must be one of 301, 302, 303, 307, 308",
  },
  {
    kind: "MeshHTTPRoute",
    spec: filtering({ type: "RequestRedirect", requestRedirect: { hostname: "1.2.3.4" } }),
    says: "spec.to[0].rules[0].default.filters[0].requestRedirect.hostname: must be a DNS name, not an IP address",
  },
  {
    kind: "MeshHTTPRoute",
    spec: filtering({
      type: "RequestMirror",
      requestMirror: { percentage: 101, backendRef: { kind: "MeshService", name: "x" } },
    }),
    says: 'spec.to[0].rules[0].default.filters[0].requestMirror.percentage: must be a number from 0 to 100, a decimal in quotes, like "0.5"',
  },
  {
    kind: "MeshHTTPRoute",
    spec: backend({ kind: "Mesh" }),
    says: "spec.to[0].rules[0].default.backendRefs[0].kind: must be one of MeshService, MeshServiceSubset, MeshExternalService, MeshMultiZoneService here, not Mesh",
  },
  {
    kind: "MeshHTTPRoute",
    spec: backend({ kind: "MeshService", labels: { a: "b" } }),
    says: "spec.to[0].rules[0].default.backendRefs[0].port: is required with labels",
  },
  {
    kind: "MeshHTTPRoute",
    spec: backend({ kind: "MeshService", name: "x", weight: -1 }),
    says: "spec.to[0].rules[0].default.backendRefs[0].weight: must be 0 or more",
  },
  {
    kind: "MeshHTTPRoute",
    spec: { to: [{ targetRef: { kind: "MeshService", name: "x" }, hostnames: ["a"], rules: [] }] },
    says: "spec.to[0].hostnames: can only be set with a targetRef of kind MeshGateway",
  },
];

for (const { kind, spec, labels, says } of rows)
  test(says, () => {
    const issues = issuesOf(kind, spec, labels);
    assert.deepEqual(
      issues.map(({ path, message }) => `${path}: ${message}`),
      [says],
    );
  });

test("null is the same as absent", () => {
  assert.deepEqual(
    issuesOf("MeshTimeout", { ...timeout({ connectionTimeout: "1s", http: null }), targetRef: null, rules: null }),
    [],
  );
});

test("half a character is read as Go reads it: no message could carry it", () => {
  const half = matching({ path: { type: "Exact", value: "/\ud800" } });
  assert.deepEqual(meshHttpRoute.parse(half), matching({ path: { type: "Exact", value: "/\ufffd" } }));
});

test("members that this version doesn't know are named, and are no mistake", () => {
  const spec = {
    ...timeout({ connectionTimeout: "1s", http: { requestTimeout: "5s", requestTimeOut: "5s" } }),
    extra: 1,
    rules: null,
  };
  assert.deepEqual(issuesOf("MeshTimeout", spec), []);
  assert.deepEqual(unknownMembers(kindNamed("MeshTimeout"), spec), [
    "spec.to[0].default.http.requestTimeOut",
    "spec.extra",
  ]);
  assert.deepEqual(unknownMembers(kindNamed("MeshAccessLog"), { anything: 1 }), []);
});
