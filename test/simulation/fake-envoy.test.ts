// The Envoy of simulation and bench says what a recorded one said (test/recorded/dp-server/ads-delta-sidecar.jsonl) when it gets
// what that one got: the same requests of each type in the same order, and the types one after the other as it starts.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { type EnvoyType, envoyTypeOf, envoyTypes } from "#discovery/order.ts";
import { encode } from "#envoy/encode.ts";
import { DeltaDiscoveryResponseSchema } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { fakeEnvoy } from "../../bench/fake-envoy.ts";
import { type Request, responseOf } from "../../bench/fake-messages.ts";

interface Line {
  readonly t_ms: number;
  readonly from: "proxy" | "cp";
  readonly type_url: string;
  readonly nonce?: string;
  readonly response_nonce?: string;
  readonly resource_names_subscribe?: string[];
  readonly resource_names_unsubscribe?: string[];
  /** Whole in first answers, later only their names. */
  readonly resources?: readonly { readonly name: string }[];
  readonly names?: readonly string[];
  readonly removed_resources?: readonly string[];
}

const file = new URL("../recorded/dp-server/ads-delta-sidecar.jsonl", import.meta.url);
const lines = readFileSync(file, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Line);

/** What of a resource an Envoy asks further about. From the 52nd second on, `ext` has its endpoints in itself, for five. */
function contentOf(type: EnvoyType, name: string, ms: number): Uint8Array {
  const isDiscovered = ["backend", "db"].includes(name) || (name === "ext" && (ms < 52_000 || ms > 57_000));
  if (type !== "cluster" || !isDiscovered) return encode(type, type === "endpoint" ? { clusterName: name } : { name });
  const secrets = {
    tlsCertificateSdsSecretConfigs: [{ name: "identity_cert:secret:default" }],
    validationContextSdsSecretConfig: { name: "mesh_ca:secret:default" },
  };
  const typed = {
    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    commonTlsContext: secrets,
  };
  return encode(type, { name, type: "EDS", transportSocket: { name: "tls", typedConfig: typed } });
}

function responseIn(
  { t_ms, type_url, nonce = "", resources, names = [], removed_resources = [] }: Line,
  type: EnvoyType,
) {
  const sent = resources?.map(({ name }) => name) ?? names;
  const response = create(DeltaDiscoveryResponseSchema, {
    typeUrl: type_url,
    nonce,
    resources: sent.map((name) => {
      const resource = { typeUrl: type_url, value: contentOf(type, name, t_ms) };
      return { name, version: `${name} of ${t_ms}`, resource };
    }),
    removedResources: [...removed_resources],
  });
  return responseOf(toBinary(DeltaDiscoveryResponseSchema, response));
}

const said = (
  nonce: string | undefined,
  subscribe: readonly string[] = [],
  unsubscribe: readonly string[] = [],
): string =>
  [
    nonce === undefined ? "ask" : `ack ${nonce}`,
    ...[...subscribe].sort().map((name) => `+${name}`),
    ...[...unsubscribe].sort().map((name) => `-${name}`),
  ].join(" ");

test("the fake Envoy says what a recorded one said", () => {
  const requests: [EnvoyType, string][] = [];
  const envoy = fakeEnvoy({ node: { id: "default.client" } });
  envoy.open((type, request: Request) => {
    requests.push([
      type,
      said(request.responseNonce, request.resourceNamesSubscribe, request.resourceNamesUnsubscribe),
    ]);
  });
  for (const line of lines) {
    const type = envoyTypeOf(line.type_url);
    if (line.from === "cp" && type) envoy.receive(responseIn(line, type));
  }
  const recorded = lines
    .filter(({ from }) => from === "proxy")
    .map((line): [EnvoyType | undefined, string] => [
      envoyTypeOf(line.type_url),
      said(line.response_nonce, line.resource_names_subscribe, line.resource_names_unsubscribe),
    ]);
  for (const type of envoyTypes) {
    const own = (all: readonly (readonly [EnvoyType | undefined, string])[]) =>
      all.filter(([of]) => of === type).map(([, text]) => text);
    // The recording ends before the last answers.
    assert.deepEqual(own(requests).slice(0, own(recorded).length), own(recorded), type);
  }
  const inOrder = (all: readonly (readonly [EnvoyType | undefined, string])[]) => [
    ...new Set(all.map(([type]) => type)),
  ];
  assert.deepEqual(inOrder(requests), inOrder(recorded));
});

test("on a new stream it asks by name for all that it asked for, with the versions that it holds", () => {
  const envoy = fakeEnvoy({ node: { id: "default.client" } });
  envoy.open(() => {});
  for (const line of lines.filter(({ t_ms }) => t_ms < 2_000)) {
    const type = envoyTypeOf(line.type_url);
    if (line.from === "cp" && type) envoy.receive(responseIn(line, type));
  }
  const again = new Map<EnvoyType, Request>();
  envoy.open((type, request) => again.set(type, request));
  assert.deepEqual([...again.keys()], ["cluster", "endpoint", "secret", "listener"]);
  assert.deepEqual(again.get("endpoint")?.resourceNamesSubscribe, ["backend", "db", "ext"]);
  assert.deepEqual(again.get("endpoint")?.initialResourceVersions, {
    backend: "backend of 1406",
    db: "db of 1406",
    ext: "ext of 1406",
  });
  assert.equal(again.get("cluster")?.initialResourceVersions?.["localhost:33501"], "localhost:33501 of 1254");
});
