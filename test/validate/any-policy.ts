// Policies as nobody would write them: of every field, with values at the edge of what it takes.

import fc from "fast-check";
import type { JsonObject } from "#lib/json.ts";
import { grpcService, httpServices, tcpService } from "./small-mesh.ts";

export interface AnyPolicy {
  readonly kind: string;
  readonly spec: JsonObject;
}

/** Members are there or not. */
const some = <Members extends Record<string, fc.Arbitrary<unknown>>>(members: Members) =>
  fc.record(members, { requiredKeys: [], noNullPrototype: true }) as fc.Arbitrary<JsonObject>;
const all = (members: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record(members, { noNullPrototype: true }) as fc.Arbitrary<JsonObject>;
const few = <T>(one: fc.Arbitrary<T>, minLength = 0) => fc.array(one, { minLength, maxLength: 3 });

const service = fc.constantFrom(...httpServices, tcpService, grpcService);
const mesh = fc.constant({ kind: "Mesh" });
const number = (max: number) => fc.oneof(fc.constantFrom(0, 1, max - 1, max), fc.nat({ max }));

const oddTexts = [
  ...["", " ", "a b", "a,b", "a;b", "a\tb", "a\nb", "\0", "\x7f", "ü", "\u2028", "💥", "\ud800"],
  ...[
    "%",
    "%%",
    "%REQ(host)%",
    "%DOWNSTREAM_PEER_URI_SAN%",
    "{}",
    "\\",
    "\\1",
    "$1",
    "*",
    "?a=b",
    "#a",
    "..",
    "//",
    "%2f",
    "%00",
  ],
];
const text = fc.oneof(
  fc.constantFrom(...oddTexts),
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.string({ minLength: 300, maxLength: 5000 }),
);
const path = fc.oneof(
  text.map((rest) => `/${rest}`),
  fc.constantFrom("/", "/a", "/a/", "/a/b"),
  text,
);
const headerName = fc.oneof(
  fc.constantFrom(
    "x-a",
    "x-b",
    "host",
    "connection",
    "content-length",
    "te",
    "x-envoy-original-path",
    "cookie",
    "!",
    "-",
    "x_a",
  ),
  fc.stringMatching(/^[a-z0-9!#$%&'*+\-.^_`|~:]{1,20}$/),
  fc.constantFrom("a".repeat(256), ":path", "X-A"),
);

/** What RE2 and other engines read differently, joined at random. */
const regexParts = [
  ...[
    "a",
    ".",
    "/",
    "[0-9]",
    "[^/]",
    "(a)",
    "(?:a)",
    "(?i)",
    "(?i:a)",
    "(?s-m:a)",
    "(?U)",
    "(?x)",
    "(?P<n>a)",
    "(?<n>a)",
    "(?P=n)",
    "(?#a)",
  ],
  ...["(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?>a)", "(?|a)", "(?R)", "(?1)", "(*FAIL)", "\\1", "\\k<n>", "\\g1"],
  ...[
    "*",
    "+",
    "?",
    "*?",
    "**",
    "++",
    "{2}",
    "{2,}",
    "{,2}",
    "{2,1}",
    "{1000}",
    "{1001}",
    "{1,1000}",
    "{0}",
    "{",
    "}",
    "^",
    "$",
    "|",
  ],
  ...[
    "[]",
    "[^]",
    "[]a]",
    "[^]a]",
    "[",
    "]",
    "[z-a]",
    "[a-\\d]",
    "[\\d-a]",
    "[[:alpha:]]",
    "[[:foo:]]",
    "[a&&b]",
    "[\\b]",
    "[\\]]",
    "[a-]",
  ],
  ...[
    "\\d",
    "\\W",
    "\\pL",
    "\\p{L}",
    "\\p{Greek}",
    "\\p{Foo}",
    "\\p{LC}",
    "\\P{^L}",
    "\\x41",
    "\\x{41}",
    "\\x{110000}",
    "\\x4",
    "\\u0041",
    "\\cA",
    "\\c",
  ],
  ...[
    "\\a",
    "\\e",
    "\\f",
    "\\v",
    "\\h",
    "\\R",
    "\\A",
    "\\z",
    "\\Z",
    "\\G",
    "\\b",
    "\\B",
    "\\<",
    "\\C",
    "\\X",
    "\\K",
    "\\N",
    "\\Qa.\\E",
    "\\Q",
    "\\E",
  ],
  ...[
    "\\0",
    "\\07",
    "\\12",
    "\\8",
    "\\123",
    "\\-",
    "\\/",
    "\\_",
    "\\ ",
    "\\",
    "(",
    ")",
    "ü",
    "\\ü",
    "💥",
    "\ud800",
    "\0",
    "\n",
    "\\\n",
  ],
];
const regex = fc.oneof(
  fc.array(fc.constantFrom(...regexParts), { minLength: 1, maxLength: 4 }).map((parts) => parts.join("")),
  text,
);

const valueMatch = (types: readonly string[], name: fc.Arbitrary<string>, needsValue: boolean) =>
  fc.constantFrom(...types).chain((type) => {
    const value = type === "RegularExpression" ? regex : text;
    const members = { name, type: fc.constant(type) };
    if (type === "Present" || type === "Absent") return all(members);
    return needsValue ? all({ ...members, value }) : fc.oneof(all({ ...members, value }), all(members));
  });
const match = some({
  path: fc.oneof(
    all({ type: fc.constantFrom("Exact", "PathPrefix"), value: path }),
    all({ type: fc.constant("RegularExpression"), value: regex }),
  ),
  method: fc.constantFrom("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"),
  headers: few(valueMatch(["Exact", "Present", "RegularExpression", "Absent", "Prefix"], headerName, false)),
  queryParams: few(valueMatch(["Exact", "RegularExpression"], fc.oneof(fc.constantFrom("a", "b"), text), true)),
});

const tags = fc.dictionary(
  fc.constantFrom("version", "team", "a/b:c", "kuma.io/service", "kuma.io/zone"),
  fc.oneof(fc.constantFrom("v1", "*", "a:b"), text),
  {
    maxKeys: 2,
    noNullPrototype: true,
  },
);
const weight = fc.option(number(1_000_000), { nil: undefined });
const backendRef = fc.oneof(
  all({ kind: fc.constant("MeshService"), name: service, weight }),
  all({ kind: fc.constant("MeshServiceSubset"), name: service, tags, weight }),
  all({
    kind: fc.constantFrom("MeshService", "MeshMultiZoneService", "MeshExternalService"),
    name: service,
    port: number(65535),
    weight,
  }),
);
const header = all({ name: headerName, value: text });
const modifier = some({ set: few(header), add: few(header), remove: few(headerName) });
const hostname = fc.constantFrom(
  "a",
  "a.example",
  "a-b.example",
  "1.2.3.4",
  "a_b",
  `${"a".repeat(63)}.${"b".repeat(80)}`,
  "a".repeat(253),
);
const rewrite = fc.oneof(
  all({ type: fc.constant("ReplaceFullPath"), replaceFullPath: path }),
  all({ type: fc.constant("ReplacePrefixMatch"), replacePrefixMatch: path }),
);
const filterOf = (type: string, member: string, value: fc.Arbitrary<unknown>) =>
  all({ type: fc.constant(type), [member]: value });
const filter = fc.oneof(
  filterOf("RequestHeaderModifier", "requestHeaderModifier", modifier),
  filterOf("ResponseHeaderModifier", "responseHeaderModifier", modifier),
  filterOf(
    "RequestRedirect",
    "requestRedirect",
    some({
      scheme: fc.constantFrom("http", "https"),
      hostname,
      port: number(65535),
      path: rewrite,
      statusCode: fc.constantFrom(301, 302, 303, 307, 308),
    }),
  ),
  filterOf("URLRewrite", "urlRewrite", some({ hostname, path: rewrite })),
  filterOf(
    "RequestMirror",
    "requestMirror",
    fc.oneof(
      all({ backendRef }),
      all({
        backendRef,
        percentage: fc.oneof(number(100), fc.constantFrom("0", "0.5", "99.99999", "100", "0.0000001")),
      }),
    ),
  ),
);
const rule = all({
  matches: few(match, 1),
  default: some({ filters: few(filter), backendRefs: few(backendRef) }),
});
const route = all({
  to: few(all({ targetRef: all({ kind: fc.constant("MeshService"), name: service }), rules: few(rule) }), 1),
});
const tcpRoute = all({
  to: few(
    all({
      targetRef: all({ kind: fc.constant("MeshService"), name: service }),
      rules: fc.array(all({ default: some({ backendRefs: few(backendRef) }) }), { maxLength: 1 }),
    }),
    1,
  ),
});

const duration = fc.oneof(
  fc.constantFrom(
    "0",
    "0s",
    "1ns",
    "0.4ns",
    "1us",
    "1µs",
    "0.1ms",
    "1h0.5s",
    "999999ns",
    "-1s",
    "+5s",
    ".5s",
    "2555000h",
    "1.0000000001s",
  ),
  fc.tuple(number(2_555_555), fc.constantFrom("ns", "us", "ms", "s", "m", "h")).map(([n, unit]) => `${n}${unit}`),
);
const conf = some({
  connectionTimeout: duration,
  idleTimeout: duration,
  http: some({
    requestTimeout: duration,
    requestHeadersTimeout: duration,
    streamIdleTimeout: duration,
    maxStreamDuration: duration,
    maxConnectionDuration: duration,
  }),
});
const spiffeId = fc.oneof(
  fc.constantFrom(
    "spiffe://default/backend",
    "spiffe://default",
    "spiffe://a.b-c_d/e.f/g",
    "spiffe://default/",
    "spiffe://default/..",
    "spiffe://*/a",
  ),
  fc.stringMatching(/^spiffe:\/\/[a-z0-9._-]{1,10}(\/[A-Za-z0-9._-]{1,10}){0,2}$/),
  text.map((rest) => `spiffe://default/${rest}`),
);
const client = some({
  spiffeID: all({ type: fc.constantFrom("Exact", "Prefix"), value: spiffeId }),
  sni: all({ type: fc.constant("Exact"), value: fc.oneof(hostname, text) }),
});
const timeout = fc.oneof(
  all({
    to: few(
      all({ targetRef: fc.oneof(mesh, all({ kind: fc.constant("MeshService"), name: service })), default: conf }),
      1,
    ),
  }),
  all({ from: few(all({ targetRef: mesh, default: conf }), 1) }),
  all({ rules: few(fc.oneof(all({ default: conf }), all({ matches: few(client), default: conf })), 1) }),
);
const backOff = some({ baseInterval: duration, maxInterval: duration });
const rateLimitedBackOff = some({
  resetHeaders: few(all({ name: headerName, format: fc.constantFrom("Seconds", "UnixTimestamp") })),
  maxInterval: duration,
});
const count = number(2 ** 31 - 1);
const attempts = { numRetries: count, perTryTimeout: duration, backOff, rateLimitedBackOff };
const headerMatch = valueMatch(["Exact", "Present", "RegularExpression", "Absent", "Prefix"], headerName, false);
const httpConditions = [
  ...["5xx", "GatewayError", "Reset", "Retriable4xx", "ConnectFailure", "EnvoyRatelimited", "RefusedStream"],
  ...["Http3PostConnectFailure", "HttpMethodGet", "HttpMethodConnect", "100", "599", "999"],
];
const retry = all({
  to: few(
    all({
      targetRef: fc.oneof(mesh, all({ kind: fc.constant("MeshService"), name: service })),
      default: some({
        http: some({
          ...attempts,
          retryOn: few(fc.constantFrom(...httpConditions)),
          retriableRequestHeaders: few(headerMatch),
          retriableResponseHeaders: few(headerMatch),
          hostSelection: few(
            fc.oneof(
              all({ predicate: fc.constant("OmitPreviousHosts") }),
              all({ predicate: fc.constant("OmitHostsWithTags"), tags }),
              all({ predicate: fc.constant("OmitPreviousPriorities"), updateFrequency: count }),
            ),
          ),
          hostSelectionMaxAttempts: count,
        }),
        grpc: some({
          ...attempts,
          retryOn: few(fc.constantFrom("Canceled", "DeadlineExceeded", "Internal", "ResourceExhausted", "Unavailable")),
        }),
        tcp: some({ maxConnectAttempt: count }),
      }),
    }),
    1,
  ),
});
const permission = fc.oneof(
  all({
    from: few(
      all({
        targetRef: fc.oneof(
          mesh,
          all({ kind: fc.constant("MeshSubset"), tags }),
          all({ kind: fc.constant("MeshService"), name: service }),
          all({ kind: fc.constant("MeshServiceSubset"), name: service, tags }),
        ),
        default: all({ action: fc.constantFrom("Allow", "Deny", "AllowWithShadowDeny") }),
      }),
      1,
    ),
  }),
  all({
    rules: few(all({ default: some({ allow: few(client), deny: few(client), allowWithShadowDeny: few(client) }) }), 1),
  }),
);
const percent = fc.oneof(number(100), fc.constantFrom("0", "0.5", "99.99999", "100"));
const failures = some({ consecutive: count });
const breakerConf = some({
  connectionLimits: some({
    maxConnections: count,
    maxConnectionPools: count,
    maxPendingRequests: count,
    maxRequests: count,
    maxRetries: count,
  }),
  outlierDetection: some({
    disabled: fc.boolean(),
    interval: duration,
    baseEjectionTime: duration,
    maxEjectionPercent: number(100),
    splitExternalAndLocalErrors: fc.boolean(),
    healthyPanicThreshold: percent,
    detectors: some({
      totalFailures: failures,
      gatewayFailures: failures,
      localOriginFailures: failures,
      successRate: some({
        minimumHosts: count,
        requestVolume: count,
        standardDeviationFactor: fc.constantFrom(1, 1000, "0.001", "1.9", "1000.0001"),
      }),
      failurePercentage: some({ minimumHosts: count, requestVolume: count, threshold: number(100) }),
    }),
  }),
});
const toService = (conf: fc.Arbitrary<JsonObject>) =>
  few(all({ targetRef: fc.oneof(mesh, all({ kind: fc.constant("MeshService"), name: service })), default: conf }), 1);
const breaker = fc.oneof(
  all({ to: toService(breakerConf) }),
  all({ from: few(all({ targetRef: mesh, default: breakerConf }), 1) }),
  all({ rules: few(all({ default: breakerConf }), 1) }),
);
const check = all({
  to: toService(
    some({
      interval: duration,
      timeout: duration,
      unhealthyThreshold: count,
      healthyThreshold: count,
      initialJitter: duration,
      intervalJitter: duration,
      intervalJitterPercent: number(100),
      noTrafficInterval: duration,
      healthyPanicThreshold: percent,
      failTrafficOnPanic: fc.boolean(),
      reuseConnection: fc.boolean(),
      alwaysLogHealthCheckFailures: fc.boolean(),
      eventLogPath: fc.constantFrom("/dev/null", "/dev/stdout", "/dev/stderr"),
      http: some({
        disabled: fc.boolean(),
        path,
        requestHeadersToAdd: some({ set: few(header), add: few(header) }),
        expectedStatuses: few(fc.constantFrom(100, 200, 404, 599)),
      }),
      tcp: some({ disabled: fc.boolean(), send: text, receive: few(text) }),
      grpc: some({ disabled: fc.boolean(), serviceName: text, authority: text }),
    }),
  ),
});
const hashPolicies = few(
  some({
    type: fc.constantFrom("Header", "Cookie", "Connection", "SourceIP", "QueryParameter", "FilterState"),
    terminal: fc.boolean(),
    header: all({ name: fc.oneof(headerName, text) }),
    cookie: all({ name: text, ttl: fc.option(duration, { nil: undefined }), path }),
    connection: some({ sourceIP: fc.boolean() }),
    queryParameter: all({ name: text }),
    filterState: all({ key: text }),
  }),
);
const zones = few(fc.constantFrom("east", "west", "a"));
const strategy = all({
  to: toService(
    some({
      hashPolicies,
      loadBalancer: all({
        type: fc.constantFrom("RoundRobin", "LeastRequest", "RingHash", "Random", "Maglev"),
        leastRequest: some({ choiceCount: count, activeRequestBias: fc.constantFrom(0, 2, "0.5", "999999999") }),
        ringHash: some({
          hashFunction: fc.constantFrom("XXHash", "MurmurHash2"),
          minRingSize: number(9_000),
          maxRingSize: number(9_000),
          hashPolicies,
        }),
        maglev: some({ tableSize: fc.constantFrom(2, 3, 4, 251, 65537), hashPolicies }),
      }),
      localityAwareness: some({
        disabled: fc.boolean(),
        localZone: some({
          affinityTags: few(some({ key: fc.constantFrom("version", "a/b:c", "kuma.io/zone"), weight: count })),
        }),
        crossZone: some({
          failover: few(
            some({
              from: some({ zones }),
              to: some({ type: fc.constantFrom("None", "Only", "Any", "AnyExcept"), zones }),
            }),
          ),
          failoverThreshold: all({ percentage: percent }),
        }),
      }),
    }),
  ),
});

const passthroughPort = fc.constantFrom(80, 443, 1, 65535, 0);
const network = fc.constantFrom(
  ...[
    "10.0.0.1",
    "10.0.0.1/32",
    "10.0.0.0/8",
    "10.2.3.4/8",
    "0.0.0.0/0",
    "0.0.0.0",
    "fd00::1",
    "fd00:0::1",
    "fd00::/8",
    "::/0",
    "::1/128",
  ],
);
const domain = fc.constantFrom(
  ...["a.example", "A.example", "*.a.example", "*", "*.example", "others", "a", "*a", "1.2.3.4", "a.example."],
  `${"a".repeat(63)}.example`,
);
const passthrough = all({
  default: all({
    passthroughMode: fc.constantFrom("Matched", "Matched", "All", "None"),
    appendMatch: fc.array(
      fc
        .tuple(
          some({ port: passthroughPort, protocol: fc.constantFrom("tcp", "tls", "grpc", "http", "http2", "mysql") }),
          fc.oneof(
            all({ type: fc.constant("Domain"), value: fc.oneof({ weight: 4, arbitrary: domain }, text) }),
            all({ type: fc.constantFrom("IP", "CIDR"), value: network }),
          ),
        )
        .map(([rest, what]) => ({ ...rest, ...what })),
      { maxLength: 8 },
    ),
  }),
});

const policy = (kind: string, spec: fc.Arbitrary<JsonObject>): fc.Arbitrary<AnyPolicy> =>
  spec.map((one) => ({ kind, spec: one }));
export const anyPolicy: fc.Arbitrary<AnyPolicy> = fc.oneof(
  { weight: 3, arbitrary: policy("MeshHTTPRoute", route) },
  { weight: 1, arbitrary: policy("MeshTCPRoute", tcpRoute) },
  { weight: 1, arbitrary: policy("MeshTimeout", timeout) },
  { weight: 1, arbitrary: policy("MeshRetry", retry) },
  { weight: 1, arbitrary: policy("MeshCircuitBreaker", breaker) },
  { weight: 1, arbitrary: policy("MeshHealthCheck", check) },
  { weight: 2, arbitrary: policy("MeshLoadBalancingStrategy", strategy) },
  { weight: 1, arbitrary: policy("MeshTrafficPermission", permission) },
  { weight: 1, arbitrary: policy("MeshPassthrough", passthrough) },
);
