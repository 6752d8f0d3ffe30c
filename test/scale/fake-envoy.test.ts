// The fake Envoys of the bench ask and acknowledge as a real one did (test/recorded/dp-server/ads-delta-sidecar.jsonl).
// The record has names and versions; what clusters are made of is filled in here.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type EnvoyType, envoyTypeOf, envoyTypeUrl } from "#discovery/order.ts";
import { localCluster, serviceCluster } from "#envoy/cluster.ts";
import { encode } from "#envoy/encode.ts";
import { serviceIdentity, upstreamTls } from "#envoy/tls.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { fakeEnvoy } from "../../bench/fake-envoy.ts";
import { type Request, requestBytes, responseOf } from "../../bench/fake-messages.ts";

interface Line {
  readonly t_ms: number;
  readonly from: "proxy" | "cp";
  readonly type_url: string;
  /** Of the proxy's answers. */
  readonly response_nonce?: string;
  /** Of the control plane's responses. */
  readonly nonce?: string;
  readonly resource_names_subscribe?: readonly string[];
  readonly resource_names_unsubscribe?: readonly string[];
  readonly resources?: readonly { readonly name: string }[];
  readonly names?: readonly string[];
  readonly removed_resources?: readonly string[];
}

const file = new URL("../recorded/dp-server/ads-delta-sidecar.jsonl", import.meta.url);
const lines = readFileSync(file, "utf8")
  .trim()
  .split("\n")
  .map((line): Line => JSON.parse(line));

const discovered = (name: string): object =>
  serviceCluster(name, { transportSocket: upstreamTls("default", [serviceIdentity("default", name)], name) });
const fixed = (name: string): object => localCluster(name, { address: "127.0.0.1", port: 1 }, "http", {});
/** Clusters with endpoints over EDS; at 52 s `ext` was one with fixed endpoints, until 57 s. */
const isDiscovered = (name: string, ms: number): boolean =>
  ["backend", "db", "ext"].includes(name) && !(name === "ext" && ms > 52_000 && ms < 57_000);

function bodyOf(type: EnvoyType, name: string, ms: number): Uint8Array {
  if (type === "cluster") return encode(type, isDiscovered(name, ms) ? discovered(name) : fixed(name));
  return type === "listener" ? encode(type, { name }) : new Uint8Array();
}

interface Resources {
  readonly type: EnvoyType;
  readonly nonce: string;
  readonly names: readonly string[];
  readonly removed?: readonly string[];
  readonly ms?: number;
}
const response = ({ type, nonce, names, removed = [], ms = 0 }: Resources) =>
  responseOf(
    toBinary(
      DeltaDiscoveryResponseSchema,
      create(DeltaDiscoveryResponseSchema, {
        ...{ typeUrl: envoyTypeUrl[type], nonce, removedResources: [...removed] },
        resources: names.map((name) => ({
          ...{ name, version: `${nonce} ${name}` },
          resource: { typeUrl: envoyTypeUrl[type], value: bodyOf(type, name, ms) },
        })),
      }),
    ),
  );

const said = (type: EnvoyType, { responseNonce = "", resourceNamesSubscribe: more, ...rest }: Request): string =>
  [
    ...[type, responseNonce === "" ? "ask" : `ack ${responseNonce}`],
    ...(more ?? []),
    ...(rest.resourceNamesUnsubscribe ?? []).map((name) => `-${name}`),
  ].join(" ");

/** What was said of each type, in its order; types among each other are told apart by milliseconds only. */
const byType = (all: readonly string[]) =>
  all.toSorted((a, b) => (kindOf(a) < kindOf(b) ? -1 : kindOf(a) > kindOf(b) ? 1 : 0));
const kindOf = (text: string): string => text.slice(0, text.indexOf(" "));

test("it says what a real Envoy said, in each step of its start and in each change", () => {
  const envoy = fakeEnvoy({ node: { id: "default.frontend" } });
  const now: string[] = [];
  envoy.open((type, request) => now.push(said(type, request)));
  // The record ends before the last answers.
  const complete = lines.filter(({ t_ms }) => t_ms < 180_000);
  for (const [second, burst] of Map.groupBy(complete, ({ t_ms }) => Math.floor(t_ms / 2_000))) {
    const recorded: string[] = [];
    for (const line of burst) {
      const type = envoyTypeOf(line.type_url);
      assert.ok(type);
      if (line.from === "proxy")
        recorded.push(
          said(type, {
            responseNonce: line.response_nonce ?? "",
            resourceNamesSubscribe: [...(line.resource_names_subscribe ?? [])],
            resourceNamesUnsubscribe: [...(line.resource_names_unsubscribe ?? [])],
          }),
        );
      else {
        const names = line.resources?.map(({ name }) => name) ?? line.names ?? [];
        const removed = line.removed_resources ?? [];
        envoy.receive(response({ type, nonce: line.nonce ?? "", names, removed, ms: line.t_ms }));
      }
    }
    assert.deepEqual(byType(now.splice(0)), byType(recorded), `${second * 2} s`);
  }
  assert.ok(envoy.isComplete);
});

/** One that has started with a cluster, and what it has said since. */
function started(refuses: (type: EnvoyType, name: string) => string | undefined = () => undefined) {
  const envoy = fakeEnvoy({ node: { id: "default.frontend" }, refuses });
  const all: { readonly type: EnvoyType; readonly request: Request }[] = [];
  const open = () => envoy.open((type, request) => all.push({ type, request }));
  open();
  envoy.receive(response({ type: "cluster", nonce: "1", names: ["backend"] }));
  envoy.receive(response({ type: "endpoint", nonce: "2", names: ["backend"] }));
  envoy.receive(
    response({ type: "secret", nonce: "3", names: ["identity_cert:secret:default", "mesh_ca:secret:default"] }),
  );
  envoy.receive(response({ type: "listener", nonce: "4", names: ["outbound:127.0.0.1:1"] }));
  return { envoy, open, said: () => all.splice(0) };
}
const texts = (all: ReturnType<ReturnType<typeof started>["said"]>) =>
  all.map(({ type, request }) => said(type, request));

test("a cluster that is sent again is acknowledged when its endpoints have come behind it", () => {
  const { envoy, said } = started();
  said();
  envoy.receive(response({ type: "cluster", nonce: "5", names: ["backend"] }));
  assert.deepEqual(texts(said()), []);
  assert.equal(envoy.isComplete, false);
  envoy.receive(response({ type: "endpoint", nonce: "6", names: ["backend"] }));
  assert.deepEqual(texts(said()), ["cluster ack 5", "endpoint ack 6"]);
  assert.equal(envoy.isComplete, true);
});

test("on a new stream it asks for everything by name and brings the versions that it holds", () => {
  const { open, said } = started();
  said();
  open();
  const requests = said();
  assert.deepEqual(texts(requests), [
    "cluster ask",
    "endpoint ask backend",
    "secret ask identity_cert:secret:default mesh_ca:secret:default",
    "listener ask",
  ]);
  assert.deepEqual(
    requests.map(({ request }) => request.initialResourceVersions),
    [
      { backend: "1 backend" },
      { backend: "2 backend" },
      {
        "identity_cert:secret:default": "3 identity_cert:secret:default",
        "mesh_ca:secret:default": "3 mesh_ca:secret:default",
      },
      { "outbound:127.0.0.1:1": "4 outbound:127.0.0.1:1" },
    ],
  );
  assert.deepEqual(
    requests.map(({ request }) => request.node?.id),
    ["default.frontend", undefined, undefined, undefined],
  );
});

test("what it refuses it refuses with the response, and keeps what it has", () => {
  const { envoy, said } = started((type, name) => (name === "bad" ? `no ${type} like that` : undefined));
  said();
  envoy.receive(response({ type: "cluster", nonce: "5", names: ["backend", "bad"] }));
  const [{ type, request } = assert.fail("nothing said")] = said();
  assert.deepEqual(
    [type, request.responseNonce, request.errorDetail?.message],
    ["cluster", "5", "no cluster like that"],
  );
  assert.deepEqual([...envoy.clusters], ["backend"]);
});

test("what it writes by hand is what the library reads", () => {
  const { typeUrl, responseNonce, ...rest } = fromBinary(
    DeltaDiscoveryRequestSchema,
    requestBytes("endpoint", { responseNonce: "12" }),
  );
  const empty = create(DeltaDiscoveryRequestSchema);
  assert.deepEqual([typeUrl, responseNonce], [envoyTypeUrl.endpoint, "12"]);
  assert.deepEqual({ ...empty, ...rest }, empty);
});

test("resources that begin alike are told apart", () => {
  const named = (name: string) => response({ type: "route", nonce: "1".repeat(70), names: [name] }).resources[0]?.name;
  assert.deepEqual(["a", "b", "a"].map(named), ["a", "b", "a"]);
});
