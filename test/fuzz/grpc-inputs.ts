// Streams of discovery, of proxies and of zones, and tokens on them.

import assert from "node:assert/strict";
import { create, fromJson, type JsonValue, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { HealthStatus } from "#gen/envoy/config/core/v3/health_check_pb.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import {
  type EndpointHealthSchema,
  HealthCheckRequestOrEndpointHealthResponseSchema as HealthMessageSchema,
} from "#gen/envoy/service/health/v3/hds_pb.ts";
import { saidText } from "#kds/resume.ts";
import { headersOf, metadataOf, path } from "#kds/wire.ts";
import { isObject } from "#lib/json.ts";
import { hdsPath } from "#xds/health-server.ts";
import { adsPath } from "#xds/server.ts";
import { type Facts, recorded } from "./facts.ts";
import { frame, framesOf, type GrpcInput, type Input, mutated, mutatedJson, rawTls, withRaw } from "./inputs.ts";
import { laneName } from "./lanes.ts";
import { kept, type Make, oneOf, picked, supplied } from "./made.ts";
import { oddProtobuf } from "./protobuf-inputs.ts";
import type { Answered } from "./sending.ts";

type Headers = Readonly<Record<string, string>>;

interface Streams {
  readonly paths: readonly string[];
  readonly headers: readonly Headers[];
  /** Frames. */
  readonly bytes: Make<Buffer>;
  /** Absent: they are calls, each half-closed. */
  readonly answered?: string;
}

function streams({ paths, headers, bytes, answered }: Streams): Make<Input> {
  const usual: GrpcInput["ending"] = answered === undefined ? "half-close" : { answered };
  const encodings = [...Array(20).fill("gzip"), ...Array(10).fill("identity"), "br"];
  return (of) => ({
    kind: "grpc",
    path: of.pick(paths),
    headers: { ...of.pick(headers), "grpc-encoding": of.pick(encodings) },
    bytes: bytes(of),
    ending: of.pick<GrpcInput["ending"]>([usual, usual, usual, "half-close", "reset"]),
  });
}

const joined =
  (...parts: readonly Make<Buffer>[]): Make<Buffer> =>
  (of) =>
    Buffer.concat(parts.map((part) => part(of)));
const nothing = Buffer.alloc(0);

/** Of the proxy that has the name of its lane. */
function ownFirst({ first }: Facts) {
  const json = JSON.parse(first.replaceAll("web-1", laneName(0)));
  return { json, message: fromJson(DeltaDiscoveryRequestSchema, json) };
}

/** Of what a node may say of itself, an object. What is nested deeper than protobuf's libraries write comes in JSON only. */
function objectIn(text: string): object {
  const value: unknown = JSON.parse(text);
  return isObject(value) && !/(\{"a":\[){20}/.test(text) ? value : {};
}

export function adsInputs(facts: Facts): Make<Input> {
  const { message, json } = ownFirst(facts);
  const { node, typeUrl } = message;
  const bytesOf = (more: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): Buffer =>
    Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { node, typeUrl, ...more })));
  const ask = bytesOf({});
  const later = [
    bytesOf({ responseNonce: "1", resourceNamesSubscribe: ["a", "*"], resourceNamesUnsubscribe: ["b"] }),
    bytesOf({ responseNonce: "1", errorDetail: { message: "Error adding/updating cluster(s) a: why, b: why" } }),
    bytesOf({ initialResourceVersions: { a: "1", "*": "", "": "x" } }),
    bytesOf({ typeUrl: "type.googleapis.com/envoy.config.listener.v3.Listener" }),
  ];
  const inJson = mutatedJson([json]);
  const withMetadata = (metadata: string) =>
    fromJson(DeltaDiscoveryRequestSchema, { ...json, node: { ...json.node, metadata: objectIn(metadata) } });
  const metadata = mutatedJson([json.node.metadata]);
  const messages = oneOf<Buffer>(
    [10, oddProtobuf([ask, ...later])],
    [1, (of) => Buffer.from(inJson(of))],
    [1, kept((of) => Buffer.from(toBinary(DeltaDiscoveryRequestSchema, withMetadata(metadata(of)))))],
  );
  const inputs = streams({
    paths: [adsPath, adsPath, adsPath, adsPath, `${adsPath}s`],
    headers: [...Array(6).fill({ authorization: facts.token }), { authorization: facts.token.slice(0, -9) }, {}],
    bytes: joined(picked(frame(ask), nothing), framesOf(messages)),
    answered: "",
  });
  return withRaw(inputs, rawTls);
}

/** What Envoys say of applications, on a stream of its own: of the proxy that has the name of its lane. */
export function healthInputs(facts: Facts): Make<Input> {
  const { node } = ownFirst(facts).message;
  const bytesOf = (more: Pick<MessageInitShape<typeof HealthMessageSchema>, "requestType">): Buffer =>
    Buffer.from(toBinary(HealthMessageSchema, create(HealthMessageSchema, more)));
  const ask = bytesOf({ requestType: { case: "healthCheckRequest", value: { node } } });
  const report = (endpoint: MessageInitShape<typeof EndpointHealthSchema>) =>
    bytesOf({
      requestType: {
        case: "endpointHealthResponse",
        value: {
          endpointsHealth: [endpoint],
          clusterEndpointsHealth: [
            { clusterName: "localhost:8080", localityEndpointsHealth: [{ endpointsHealth: [endpoint] }] },
            { clusterName: "kuma:envoy:admin", localityEndpointsHealth: [{ endpointsHealth: [endpoint, {}] }] },
            {},
          ],
        },
      },
    });
  const reports = [report({ healthStatus: HealthStatus.HEALTHY }), report({ healthStatus: HealthStatus.TIMEOUT })];
  return streams({
    paths: [hdsPath],
    headers: [...Array(6).fill({ authorization: facts.token }), { authorization: facts.token.slice(0, -9) }, {}],
    bytes: joined(picked(frame(ask), frame(ask), nothing), framesOf(oddProtobuf([ask, ...reports, ...reports]))),
    answered: "",
  });
}

/** `isMember`: with certificates, of the zone that has the name of its lane. */
export async function kdsInputs(isMember: boolean): Promise<Make<Input>> {
  const { requests, responses } = await exchanged();
  assert.ok(requests.length > 20 && responses.length > 20);
  const zone = laneName(0);
  const node = { id: zone, metadata: metadataOf({ instanceId: "1", version: "test" }) };
  const ask = (typeUrl: string): Buffer =>
    Buffer.from(
      toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, { typeUrl, resourceNamesSubscribe: ["*"], node }),
      ),
    );
  const response = (nonce: string, systemVersionInfo = ""): Buffer =>
    Buffer.from(
      toBinary(
        DeltaDiscoveryResponseSchema,
        create(DeltaDiscoveryResponseSchema, { typeUrl: nonce, nonce, systemVersionInfo }),
      ),
    );
  const position = { store: "s", opening: "o", revision: 1 };
  const said = saidText({ position, resumed: true, more: false });
  const up = oddProtobuf([...responses, response("Dataplane", said), response("Dataplane", `${said} more`)]);
  const down = oddProtobuf([...requests, ask("Mesh"), ask("MeshTimeout")]);
  const marked = "answered after all";
  const [name, ...values] = ["features", ...[headersOf(zone, "test").features ?? []].flat()];
  const usual = { ...headersOf(zone, "test"), [name ?? ""]: values.join() } as Headers;
  const headers = [
    ...Array(6).fill(usual),
    { ...usual, "kodiak-frozen-since": "x" },
    { ...usual, "client-id": "zone-a" },
    { ...usual, "client-id": "../a" },
    {},
  ];
  const unary = ['{"request":"x","now":1,"token":"y"}', '{"mesh":"default","backend":"ca-1","request":"x"}'];
  const unaryText = mutatedJson(unary.map((text) => JSON.parse(text)));
  const inputs = oneOf<Input>(
    [
      3,
      streams({
        ...{ paths: [path.zoneToGlobal], headers, answered: marked },
        bytes: joined(framesOf(up), picked(frame(response(marked)))),
      }),
    ],
    [
      3,
      streams({
        ...{ paths: [path.globalToZone], headers, answered: "" },
        bytes: joined(picked(frame(ask("Mesh")), nothing), framesOf(down)),
      }),
    ],
    [
      2,
      streams({
        paths: [path.certificate, path.intermediate, path.healthCheck, path.heard, path.configDump, path.stats],
        headers,
        bytes: framesOf(oneOf<Buffer>([1, mutated(unary)], [1, (of) => Buffer.from(unaryText(of))])),
      }),
    ],
  );
  return isMember ? inputs : withRaw(inputs, rawTls);
}

/** What was recorded on the wire between Kuma's control planes, of the zones that the lanes are. */
async function exchanged() {
  const files = [
    "01-connect-empty",
    "04-proxies-join",
    "08-nack-by-zone",
    "09-nack-by-global",
    "10-zone-policy",
    "11-proxy-leaves",
  ];
  const texts = await Promise.all(files.map((file) => recorded(`kds/${file}.jsonl`)));
  const lines = texts.flatMap((text) => text.split("\n").filter((line) => line !== ""));
  const all = lines.map((line) => JSON.parse(line));
  const requestBytes = (json: JsonValue): Buffer =>
    Buffer.from(toBinary(DeltaDiscoveryRequestSchema, fromJson(DeltaDiscoveryRequestSchema, json)));
  return {
    requests: all.flatMap(({ request }) => (request ? [requestBytes(request)] : [])).slice(0, 200),
    responses: all.flatMap(({ response }) => (response ? [Buffer.from(response, "base64")] : [])).slice(0, 200),
  };
}

/** As ADS takes them. */
export function tokenInputs(facts: Facts): Make<Input> {
  const bytes = frame(toBinary(DeltaDiscoveryRequestSchema, ownFirst(facts).message));
  const shown = forged(facts);
  const shows: Make<Input> = (of) => ({
    ...{ kind: "grpc", path: adsPath, headers: { authorization: shown(of) } },
    ...{ bytes, ending: { answered: "" } },
  });
  return withRaw(shows, rawTls);
}

/** A token that its issuer did not make so: another header or other claims below the same signature, or bytes of it changed. */
function forged({ token, user }: Facts): Make<string> {
  const [head = "", claims = "", signature = ""] = token.split(".");
  const partOf = (text: string): object => JSON.parse(Buffer.from(text, "base64url").toString());
  const changed = (own: string, ...bases: readonly object[]): Make<string> => {
    const odd = mutatedJson(bases);
    return oneOf<string>([1, picked(own)], [1, (of) => Buffer.from(odd(of)).toString("base64url")]);
  };
  const heads = ["none", "HS256", "RS512", ""].flatMap((alg) =>
    ["1", "../../etc/passwd", "2", 1, null].map((kid) => ({ ...partOf(head), alg, kid })),
  );
  const heading = changed(head, partOf(head), ...heads);
  const claiming = changed(claims, partOf(claims));
  const signed = mutated([signature]);
  const signing = oneOf<string>([2, picked(signature, "")], [1, (of) => signed(of).toString("latin1")]);
  const bytes = mutated([token, user]);
  return oneOf<string>(
    [4, (of) => `${heading(of)}.${claiming(of)}.${signing(of)}`],
    [2, (of) => bytes(of).toString("latin1")],
    [1, supplied(fc.string())],
  );
}

export const isForgedTaken =
  ({ token }: Facts) =>
  (input: Input, { bytes }: Answered): string | undefined =>
    input.kind === "grpc" && bytes > 0 && !isSameToken(input.headers.authorization ?? "", token)
      ? "a forged token was taken"
      : undefined;

/** The last letter of base64 has bits that nobody reads, and a header has no space around it. */
function isSameToken(a: string, b: string): boolean {
  const bytes = (text: string) =>
    text
      .trim()
      .split(".")
      .map((part) => Buffer.from(part, "base64url").toString("hex"))
      .join();
  return bytes(a) === bytes(b);
}
