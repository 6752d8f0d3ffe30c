// The recorded HDS streams of stock proxies (test/recorded/dp-server/hds-*.jsonl), answered by our half. Ours differs from the recorded
// answers in one point: applications are reported on as often as they are probed, not every 5 s.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import type { Health } from "#discovery/health.ts";
import {
  HealthCheckRequestOrEndpointHealthResponseSchema,
  HealthCheckSpecifierSchema,
} from "#gen/envoy/service/health/v3/hds_pb.ts";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import { openLog } from "#host/log.ts";
import { grpcCode, type ServerStream, type Status } from "#host/world.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import { probesOf } from "#topology/probe.ts";
import { type Checking, hdsPath, healthServer } from "#xds/health-server.ts";

interface Line {
  readonly from?: "proxy" | "cp";
  readonly msg?: JsonValue;
}
const recorded = (file: string): readonly Line[] =>
  readFileSync(new URL(`../../test/recorded/dp-server/${file}`, import.meta.url), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

const key = "default/backend-1";
const probed = (inbound: NonNullable<NonNullable<DataplaneJson["networking"]>["inbound"]>): DataplaneJson => ({
  networking: { address: "127.33.1.2", inbound },
});
const twoInbounds = probed([
  { port: 33520, servicePort: 33521 },
  { port: 33522, servicePort: 33523, serviceProbe: { tcp: {} } },
]);
const socket = { pipe: { path: "/tmp/kuma-dp/kuma-envoy-admin.sock" } };

/** A server with one Dataplane, and what its Envoy was reported to be. */
function serverOf(first: DataplaneJson | undefined, more: Partial<Checking> = {}) {
  const graph = incrementalGraph();
  const dataplanes = graph.source<DataplaneJson>("dataplanes");
  const probes = graph.derive("probes", dataplanes, probesOf);
  const news: Health[] = [];
  let gone = 0;
  const server = healthServer({
    ...{ log: openLog("silent"), clock: { now: () => 0, alarm: () => () => {} }, probes },
    admit: async () => ({
      ...{ key, admin: undefined, isTransparent: false },
      onHealth: (health) => void news.push(health),
      onGone: () => void gone++,
      ...more,
    }),
  });
  const change = (dataplane: DataplaneJson | undefined): void => {
    dataplanes.set(key, dataplane);
    server.publish(graph.settle());
  };
  change(first);
  return { change, news, gone: () => gone, open: () => opened(server.serve) };
}

/** A stream of which the test is the other end. */
function opened(serve: (stream: ServerStream) => void) {
  const sent: JsonValue[] = [];
  const ended: Status[] = [];
  let receive = (_: Uint8Array): void => {};
  let onEnd = (_: Status): void => {};
  serve({
    ...{ path: hdsPath, headers: {}, peer: "127.0.0.1:1", client: undefined },
    sendHeaders: () => {},
    send(pieces) {
      const specifier = fromBinary(HealthCheckSpecifierSchema, Buffer.concat(pieces));
      sent.push(toJson(HealthCheckSpecifierSchema, specifier, { useProtoFieldName: true }));
      return true;
    },
    onMessage(handle) {
      receive = handle;
    },
    onDrained: () => {},
    onEnd(handle) {
      onEnd = handle;
    },
    end(status) {
      ended.push(status);
      onEnd(status);
    },
  });
  return {
    sent,
    ended,
    /** Resolves when it has been taken: letting in takes turns. */
    async say(msg: JsonValue = {}) {
      const schema = HealthCheckRequestOrEndpointHealthResponseSchema;
      receive(toBinary(schema, fromJson(schema, msg, { ignoreUnknownFields: true })));
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
const hello: JsonValue = { healthCheckRequest: { node: { id: "default.backend-1" } } };
const report = (healthStatus: string, clusterName = "localhost:33523"): JsonValue => {
  const localityEndpointsHealth = [{ endpointsHealth: [{ healthStatus }] }];
  return { endpointHealthResponse: { clusterEndpointsHealth: [{ clusterName, localityEndpointsHealth }] } };
};

for (const [file, dataplane, interval, names] of [
  ["hds-sidecar-two-inbounds.jsonl", twoInbounds, "1s", ["kuma:envoy:admin", "localhost:33523"]],
  ["hds-transparent.jsonl", probed([{ port: 33500, servicePort: 33501 }]), "5s", ["kuma:envoy:admin"]],
] as const)
  test(`a recorded stream: ${file}`, async () => {
    const server = serverOf(dataplane, { admin: socket });
    const stream = server.open();
    const lines = recorded(file);
    for (const { from, msg } of lines) if (from === "proxy") await stream.say(msg);
    const answers = lines.filter(({ from }) => from === "cp").map(({ msg }) => Object.assign({}, msg, { interval }));
    assert.deepEqual(stream.sent, answers);
    // Of all reports the first is news.
    assert.ok(lines.length >= 4);
    assert.deepEqual(server.news, [new Map(names.map((name) => [name, true]))]);
  });

test("only what is different is news", async () => {
  const server = serverOf(twoInbounds);
  const stream = server.open();
  await stream.say(hello);
  for (const status of ["HEALTHY", "HEALTHY", "TIMEOUT", "UNHEALTHY", "UNHEALTHY", "UNKNOWN"])
    await stream.say(report(status));
  assert.deepEqual(
    server.news.map((health) => health.get("localhost:33523")),
    [true, false, true],
  );
});

test("a changed Dataplane is a new specifier on the open stream, and one that is changed elsewhere is none", async () => {
  const server = serverOf(undefined);
  const stream = server.open();
  await stream.say(hello);
  assert.deepEqual(stream.sent, [], "nothing to check, nothing to report");
  server.change(twoInbounds);
  server.change({ ...twoInbounds, networking: { ...twoInbounds.networking, outbound: [{ port: 1 }] } });
  const serviceProbe = { interval: "10s", timeout: "0.3s", unhealthyThreshold: 3, healthyThreshold: 2 };
  server.change(probed([{ port: 33522, servicePort: 33523, serviceProbe }]));
  server.change(probed([{ port: 33522, servicePort: 33523 }]));
  assert.deepEqual(
    stream.sent.map((specifier) =>
      JSON.stringify(specifier).match(/"cluster_name":"[^"]*"|"interval":"[^"]*"$|[0-9.]+s(?="}$)/g),
    ),
    [['"cluster_name":"localhost:33523"', "1s"], ['"cluster_name":"localhost:33523"', "0.300s"], ["3600s"]],
  );
  await stream.say(report("UNHEALTHY"));
  assert.deepEqual(server.news, [], "what is checked no more");
});

test("what was said of something that is checked no more is said no more", async () => {
  const server = serverOf(twoInbounds);
  const stream = server.open();
  await stream.say(hello);
  await stream.say(report("UNHEALTHY"));
  server.change(probed([{ port: 33522, servicePort: 33523 }]));
  assert.deepEqual(server.news, [new Map([["localhost:33523", false]]), new Map()]);
});

test("what is not a health check, or comes before one, is refused", async () => {
  const stream = serverOf(twoInbounds).open();
  await stream.say(report("HEALTHY"));
  assert.deepEqual(
    stream.ended.map(({ code }) => code),
    [grpcCode.unknown],
  );
  assert.match(stream.ended[0]?.message ?? "", /must be a HealthCheckRequest/);
});

test("a newer stream of the same proxy ends the older one, and keeps what it is told", async () => {
  const server = serverOf(twoInbounds);
  const [older, newer] = [server.open(), server.open()];
  await older.say(hello);
  await newer.say(hello);
  assert.deepEqual([older.ended.length, newer.ended.length, server.gone()], [1, 0, 1]);
  server.change(undefined);
  assert.deepEqual([older.sent.length, newer.sent.length], [1, 2]);
});

test("applications behind a transparent proxy are probed from an address that is not redirected, but on loopback", async () => {
  const server = serverOf(
    probed([
      { port: 1, serviceProbe: {} },
      { port: 2, serviceAddress: "::1", serviceProbe: {} },
      { port: 3, serviceAddress: "fd00::1", serviceProbe: {} },
      { port: 4, servicePort: 3, serviceAddress: "10.0.0.1", serviceProbe: {} },
    ]),
    { isTransparent: true },
  );
  const stream = server.open();
  await stream.say(hello);
  const { cluster_health_checks: checks } = stream.sent[0] as {
    cluster_health_checks: { cluster_name: string; upstream_bind_config?: { source_address: { address: string } } }[];
  };
  assert.deepEqual(
    checks.map((check) => [check.cluster_name, check.upstream_bind_config?.source_address.address]),
    [
      ["localhost:1", undefined],
      ["localhost:2", undefined],
      ["localhost:3", "::6"],
      ["10.0.0.1:3", "127.0.0.6"],
    ],
  );
});
