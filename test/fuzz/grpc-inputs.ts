// Streams of discovery, of proxies and of zones, and tokens on them.

import assert from "node:assert/strict";
import { create, fromJson, type JsonValue, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { saidText } from "#kds/resume.ts";
import { headersOf, metadataOf, path } from "#kds/wire.ts";
import { adsPath } from "#xds/server.ts";
import { frame, framesOf, type GrpcInput, type Input, mutated, mutatedJson, rawTls, withRaw } from "./inputs.ts";
import { oddProtobuf } from "./protobuf-inputs.ts";
import { laneName } from "./sending.ts";
import { recorded, type Stage } from "./stage.ts";

type Headers = Readonly<Record<string, string>>;

interface Streams {
  readonly paths: readonly string[];
  readonly headers: readonly Headers[];
  /** Frames. */
  readonly bytes: fc.Arbitrary<Buffer>;
  /** Absent: they are calls, each half-closed. */
  readonly answered?: string;
}

const streams = ({ paths, headers, bytes, answered }: Streams): fc.Arbitrary<Input> =>
  fc
    .record({
      path: fc.constantFrom(...paths),
      headers: fc.constantFrom(...headers),
      encoding: fc.constantFrom(...Array(20).fill("gzip"), ...Array(10).fill("identity"), "br"),
      bytes,
      ending: fc.constantFrom<GrpcInput["ending"][]>(
        ...Array(3).fill(answered === undefined ? "half-close" : { answered }),
        ...(["half-close", "reset"] as const),
      ),
    })
    .map(({ encoding, headers, ...rest }) => ({
      kind: "grpc",
      headers: { ...headers, "grpc-encoding": encoding },
      ...rest,
    }));

const joined = (...parts: readonly fc.Arbitrary<Buffer>[]): fc.Arbitrary<Buffer> =>
  fc.tuple(...parts).map((all) => Buffer.concat(all));
const nothing = fc.constant(Buffer.alloc(0));

/** Of the proxy that has the name of its lane. */
const ownFirst = ({ first }: Stage) => {
  const text = toJsonString(DeltaDiscoveryRequestSchema, first).replaceAll("web-1", laneName(0));
  const json = JSON.parse(text);
  return { json, message: create(DeltaDiscoveryRequestSchema, { ...first, node: own(first.node) }) };

  function own(node: Stage["first"]["node"]) {
    if (!node) return undefined;
    const metadata = JSON.parse(JSON.stringify(node.metadata).replaceAll("web-1", laneName(0)));
    return { ...node, id: node.id.replace("web-1", laneName(0)), metadata };
  }
};

export function adsInputs(stage: Stage): fc.Arbitrary<Input> {
  const { token } = stage;
  const { message, json } = ownFirst(stage);
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
  const inJson = mutatedJson([json]).map((text) => Buffer.from(text));
  const messages = fc.oneof({ weight: 10, arbitrary: oddProtobuf([ask, ...later]) }, { weight: 1, arbitrary: inJson });
  const asked = fc.constantFrom(frame(ask));
  const inputs = streams({
    paths: [adsPath, adsPath, adsPath, adsPath, `${adsPath}s`],
    headers: [...Array(6).fill({ authorization: token }), { authorization: token.slice(0, -9) }, {}],
    bytes: joined(fc.oneof(asked, nothing), framesOf(messages)),
    answered: "",
  });
  return withRaw(inputs, rawTls);
}

/** `isMember`: with certificates, of the zone that has the name of its lane. */
export async function kdsInputs(isMember: boolean): Promise<fc.Arbitrary<Input>> {
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
  const unary = { json: ['{"request":"x","now":1,"token":"y"}', '{"mesh":"default","backend":"ca-1","request":"x"}'] };
  const inputs = fc.oneof(
    {
      weight: 3,
      arbitrary: streams({
        ...{ paths: [path.zoneToGlobal], headers, answered: marked },
        bytes: joined(framesOf(up), fc.constant(frame(response(marked)))),
      }),
    },
    {
      weight: 3,
      arbitrary: streams({
        ...{ paths: [path.globalToZone], headers, answered: "" },
        bytes: joined(fc.oneof(fc.constant(frame(ask("Mesh"))), nothing), framesOf(down)),
      }),
    },
    {
      weight: 2,
      arbitrary: streams({
        paths: [path.certificate, path.intermediate, path.healthCheck, path.heard, path.configDump, path.stats],
        headers,
        bytes: framesOf(
          fc.oneof(
            mutated(unary.json),
            mutatedJson(unary.json.map((text) => JSON.parse(text))).map((text) => Buffer.from(text)),
          ),
        ),
      }),
    },
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
export function tokenInputs({ token, user, first }: Stage): fc.Arbitrary<Input> {
  const bytes = frame(toBinary(DeltaDiscoveryRequestSchema, first));
  const shown = forged(token, user).map(
    (authorization): Input => ({
      kind: "grpc",
      path: adsPath,
      headers: { authorization },
      bytes,
      ending: { answered: "" },
    }),
  );
  return withRaw(shown, rawTls);
}

/** A token that its issuer did not make so: another header or other claims below the same signature, or bytes of it changed. */
function forged(token: string, user: string): fc.Arbitrary<string> {
  const [head = "", claims = "", signature = ""] = token.split(".");
  const partOf = (text: string): object => JSON.parse(Buffer.from(text, "base64url").toString());
  const encoded = (text: string): string => Buffer.from(text).toString("base64url");
  const heads = ["none", "HS256", "RS512", ""].flatMap((alg) =>
    ["1", "../../etc/passwd", "2", 1, null].map((kid) => ({ ...partOf(head), alg, kid })),
  );
  const parts = fc
    .record({
      head: fc.oneof(fc.constant(head), mutatedJson([partOf(head), ...heads]).map(encoded)),
      claims: fc.oneof(fc.constant(claims), mutatedJson([partOf(claims)]).map(encoded)),
      signature: fc.oneof(fc.constant(signature), fc.constant(""), mutated([signature]).map(String)),
    })
    .map(({ head, claims, signature }) => `${head}.${claims}.${signature}`);
  return fc.oneof(
    { weight: 4, arbitrary: parts },
    { weight: 2, arbitrary: mutated([token, user]).map((bytes) => bytes.toString("latin1")) },
    { weight: 1, arbitrary: fc.string() },
  );
}

/** The last letter of base64 has bits that nobody reads, and a header has no space around it. */
export function isSameToken(a: string, b: string): boolean {
  const bytes = (text: string) =>
    text
      .trim()
      .split(".")
      .map((part) => Buffer.from(part, "base64url").toString("hex"))
      .join();
  return bytes(a) === bytes(b);
}
