// The recorded exchanges between stock Kuma control planes, with ours in the place of one of them, over real ports: our global
// for two stock zones, our zone for a stock global. What is sent must say the same; answers must be the same.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { certificateFor } from "#host/certificate-for-test.ts";
import { grpcCode, type ServerStream, type Stream } from "#host/world.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import { idOfWireName, withHashedName } from "#kds/name.ts";
import { path } from "#kds/wire.ts";
import { isEqual } from "#lib/json.ts";
import { serviceInsights } from "#owned/service-insight.ts";
import { validateResource } from "#policies/kinds.ts";
import { globalToZoneKinds, kindNamed, zoneToGlobalKinds } from "#resources/kinds.ts";
import { keyOf, label, type Resource } from "#resources/resource.ts";
import { resource, ringingClock, type Signal, signal, startGlobal, startZone, world } from "./control-planes.ts";
import { type Line, original, resourcesIn, steps, stockFeatures, Told } from "./recording.ts";

const validate = (resource: Resource) => validateResource(kindNamed(resource.kind), resource);
const stockHeaders = {
  "client-id": "",
  "kds-version": "v3",
  features: ["zone-ping-health", "hash-suffix"],
  version: "2.14.3",
};
const send = (stream: Stream, request: DeltaDiscoveryRequest): boolean =>
  stream.send([toBinary(DeltaDiscoveryRequestSchema, request)]);

test("our global for stock zones", async (t) => {
  const global = await startGlobal(t, { zones: ["zone-1", "zone-2"], validate });
  const zones = new Map(["zone-1", "zone-2"].map((zone) => [zone, stockZone(t, zone, global.target)]));
  const recorded = new Map([...zones.keys()].map((zone) => [zone, new Told()]));
  const uploads = steps.flatMap(({ lines }) => lines).filter(({ stream }) => stream === "ZoneToGlobalSync");
  const written = new Map<string, Resource>();

  /** What a user did at the recorded global, from what it told the zones. */
  async function act(response: DeltaDiscoveryResponse): Promise<void> {
    for (const resource of resourcesIn(response)) {
      if (resource.labels[label.zone] !== undefined) continue;
      const made = original(resource);
      written.set(`${resource.kind} ${resource.name}.${resource.mesh}`, made);
      await global.put(made);
    }
    for (const name of response.removedResources) {
      const made = written.get(`${response.typeUrl} ${name}`);
      if (made) await global.remove(made.kind, made.name);
    }
  }

  for (const step of steps) {
    for (const [i, line] of step.lines.entries()) {
      const zone = zones.get(line.zone)!;
      const { message, stream } = line;
      if (stream === "ZoneToGlobalSync") {
        if (message.kind === "response") {
          const answer = answerIn(uploads, line, message.response);
          assertSameAnswer(await zone.upload(message.response, message.bytes), answer, step.name);
        }
      } else if (message.kind === "response") {
        // Zone zone-2 is switched off before the first, and on before the second half of this step.
        const isFirst = (removes: boolean) =>
          i ===
          step.lines.findIndex(
            ({ message: m }) => m.kind === "response" && m.response.removedResources.length > 0 === removes,
          );
        if (step.name.startsWith("14")) {
          for (const removes of [true, false])
            if (isFirst(removes))
              await global.put({ ...(await global.has("Zone", "zone-2")), spec: { enabled: !removes } });
        }
        recorded.get(line.zone)!.take(message.response);
        await act(message.response);
      } else if (message.request.responseNonce === "") {
        const metadata = { features: stockFeatures, "control-plane-id": "stock", config: "{}" };
        send(zone.down, { ...message.request, node: { ...message.request.node!, metadata } });
      }
    }
    for (const [name, { told, changed }] of zones) {
      const wanted = recorded.get(name)!;
      await changed.until(
        () => isEqual(told.all, wanted.all),
        () => {
          assert.deepEqual(told.all, wanted.all, `${step.name}: ${name}`);
          return step.name;
        },
      );
    }
  }
  assert.deepEqual(
    [...zones.values()].flatMap(({ unasked }) => unasked),
    [],
  );
});

test("of the recorded proxies our global computes the recorded service insights", () => {
  const graph = incrementalGraph();
  const dataplanes = graph.source<Resource>("Dataplane");
  const insights = graph.source<Resource>("DataplaneInsight");
  const meshes = graph.source<Resource>("Mesh");
  const computed = serviceInsights(graph, { dataplanes, insights, meshes });
  const sources = new Map([dataplanes, insights].map((source) => [source.name, source]));
  meshes.set("default", resource("Mesh", "default", {}));
  // Stock waits a while: what it sends is what we had computed not long before.
  const history: unknown[] = [];
  let compared = 0;
  for (const { name, lines } of steps) {
    for (const { message } of lines) {
      if (message.kind === "request") continue;
      const { response } = message;
      if (response.typeUrl === "ServiceInsight") {
        for (const recorded of resourcesIn(response)) {
          assert.equal(recorded.name, withHashedName(computed.get("default")!).name);
          assert.ok(
            history.some((spec) => isEqual(spec, recorded.spec)),
            `${name}: ${JSON.stringify(recorded.spec)} is none of ${JSON.stringify(history)}`,
          );
          compared++;
        }
      }
      const source = sources.get(response.typeUrl);
      if (!source) continue;
      const kind = kindNamed(response.typeUrl);
      for (const one of resourcesIn(response)) source.set(keyOf(one), one);
      for (const gone of response.removedResources) source.set(keyOf(idOfWireName(kind, gone)), undefined);
      graph.settle();
      history.unshift(computed.get("default")?.spec);
      history.length = Math.min(history.length, 6);
    }
  }
  assert.ok(compared > 10);
});

/** A stock zone's end: acknowledges what it is sent, and sends what was recorded. */
function stockZone(t: TestContext, zone: string, target: Parameters<typeof world.network.dial>[0]) {
  const connection = world.network.dial(target);
  t.after(() => connection.close());
  const call = { headers: { ...stockHeaders, "client-id": zone }, gzip: true };
  const down = connection.stream(path.globalToZone, call);
  const up = connection.stream(path.zoneToGlobal, call);
  const told = new Told();
  const changed = signal();
  const asked = new Set<string>();
  const unasked: string[] = [];
  const answers = new Map<string, DeltaDiscoveryRequest>();

  down.onMessage((message) => {
    const response = fromBinary(DeltaDiscoveryResponseSchema, message);
    if (response.systemVersionInfo !== "") unasked.push("a revision");
    if (response.controlPlane?.identifier !== "global") unasked.push(`identifier ${response.controlPlane?.identifier}`);
    told.take(response);
    const answer = { typeUrl: response.typeUrl, responseNonce: response.nonce, node: { id: zone } };
    send(down, create(DeltaDiscoveryRequestSchema, answer));
    changed.fire();
  });
  up.onMessage((message) => {
    const request = fromBinary(DeltaDiscoveryRequestSchema, message);
    if (request.responseNonce === "") asked.add(request.typeUrl);
    else answers.set(request.responseNonce, request);
    changed.fire();
  });
  for (const stream of [up, down]) {
    stream.onDrained(() => {});
    stream.onEnd(({ code, message }) => {
      if (code !== grpcCode.cancelled && code !== grpcCode.ok) unasked.push(message);
    });
  }
  return {
    down,
    told,
    changed,
    unasked,
    async upload(response: DeltaDiscoveryResponse, bytes: Uint8Array): Promise<DeltaDiscoveryRequest> {
      await changed.until(
        () => asked.size === zoneToGlobalKinds.length,
        () => `asked for ${asked.size} kinds`,
      );
      up.send([bytes]);
      await changed.until(
        () => answers.has(response.nonce),
        () => `no answer to ${response.typeUrl} ${response.nonce}`,
      );
      return answers.get(response.nonce)!;
    },
  };
}

test("our zone for a stock global", async (t) => {
  const global = await stockGlobal(t);
  const clock = ringingClock();
  const zone = startZone(t, "zone-1", global.target, { validate, clock });
  const { down, up } = await global.opened;
  const lines = steps.flatMap(({ lines }) => lines).filter((line) => line.zone === "zone-1");
  const recorded = new Told();
  const sent = new Told();
  const made = new Map<string, Resource>();

  await down.asked(globalToZoneKinds.length);
  for (const request of down.requests) assertSubscription(request);
  assertHeaders(down.stream);
  assertHeaders(up.stream);

  for (const step of steps) {
    for (const line of step.lines.filter((one) => one.zone === "zone-1")) {
      const { message } = line;
      if (line.stream === "GlobalToZoneSync") {
        if (message.kind === "request") continue;
        down.stream.send([message.bytes]);
        recorded.take(message.response);
        const { typeUrl, nonce } = message.response;
        const answer = answerIn(lines, line, message.response);
        assertSameAnswer(await down.answerTo(nonce), answer, step.name);
        // After a refusal the store has what was valid, and for the rest what it had.
        if (!answer.errorDetail)
          assertHolds(zone.store.list(typeUrl), recorded.of(typeUrl), `${step.name}: ${typeUrl}`);
      } else if (message.kind === "request") {
        if (message.request.responseNonce === "") send(up.stream, message.request);
      } else {
        const { response } = message;
        sent.take(response);
        for (const resource of resourcesIn(response)) {
          made.set(`${resource.kind} ${resource.name}.${resource.mesh}`, original(resource));
          await zone.put(original(resource));
        }
        for (const name of response.removedResources) {
          await zone.remove(response.typeUrl, made.get(`${response.typeUrl} ${name}`)!.name);
        }
      }
    }
    await up.changed.until(
      () => isEqual(up.told.all, withOurs(sent.all)),
      () => {
        assert.deepEqual(up.told.all, withOurs(sent.all), step.name);
        return step.name;
      },
    );
  }
  assert.deepEqual(
    zone.links.map(({ kind }) => kind),
    ["connected"],
  );

  // A stock global may have gone deaf on this stream, until it hears an answer again.
  const heard = down.requests.length;
  const last = new Map(
    down.requests.filter(({ responseNonce }) => responseNonce !== "").map((one) => [one.typeUrl, one.responseNonce]),
  );
  clock.ring(60_000);
  await down.changed.until(
    () => down.requests.length === heard + globalToZoneKinds.length,
    () => "all answers again",
  );
  assert.deepEqual(new Map(down.requests.slice(heard).map((one) => [one.typeUrl, one.responseNonce])), last);
});

/** A stock global's end: sends what was recorded, and acknowledges what it is sent. */
async function stockGlobal(t: TestContext) {
  const certificate = await certificateFor(["127.0.0.1"]);
  const ends = new Map<string, StockEnd>();
  const opened = signal();
  const serve = (name: string) => (stream: ServerStream) => {
    ends.set(name, stockEnd(stream));
    opened.fire();
  };
  const keepOpen = (stream: ServerStream): void => {
    stream.onMessage(() => {});
    stream.onDrained(() => {});
    stream.onEnd(() => {});
  };
  const listening = await world.network.listen({
    host: "127.0.0.1",
    port: 0,
    ...certificate,
    streams: {
      [path.globalToZone]: serve("down"),
      [path.zoneToGlobal]: serve("up"),
      [path.configDump]: keepOpen,
      [path.stats]: keepOpen,
      [path.clusters]: keepOpen,
    },
    // A response with an empty interval.
    unary: { [path.healthCheck]: () => Uint8Array.of(0x0a, 0) },
  });
  t.after(() => listening.close("the test is over"));
  return {
    target: { host: "127.0.0.1", port: listening.port, trust: { kind: "ca" as const, ca: certificate.ca } },
    opened: opened
      .until(
        () => ends.size === 2,
        () => `streams: ${[...ends.keys()]}`,
      )
      .then(() => ({ down: ends.get("down")!, up: ends.get("up")! })),
  };
}

type StockEnd = ReturnType<typeof stockEnd>;

function stockEnd(stream: ServerStream) {
  const requests: DeltaDiscoveryRequest[] = [];
  const told = new Told();
  const changed: Signal = signal();
  stream.onMessage((message) => {
    if (stream.path === path.globalToZone) requests.push(fromBinary(DeltaDiscoveryRequestSchema, message));
    else {
      const response = fromBinary(DeltaDiscoveryResponseSchema, message);
      assert.equal(response.systemVersionInfo, "");
      assert.equal(response.controlPlane?.identifier, "zone-1");
      told.take(response);
      const answer = { typeUrl: response.typeUrl, responseNonce: response.nonce, node: { id: "zone-1" } };
      send(stream, create(DeltaDiscoveryRequestSchema, answer));
    }
    changed.fire();
  });
  stream.onDrained(() => {});
  stream.onEnd(() => {});
  stream.sendHeaders();
  return {
    stream,
    requests,
    told,
    changed,
    asked: (kinds: number) =>
      changed.until(
        () => requests.filter(({ responseNonce }) => responseNonce === "").length === kinds,
        () => `asked for ${requests.length} kinds`,
      ),
    async answerTo(nonce: string): Promise<DeltaDiscoveryRequest> {
      const answer = () => requests.find(({ responseNonce }) => responseNonce === nonce);
      await changed.until(
        () => answer() !== undefined,
        () => `no answer to ${nonce}`,
      );
      return answer()!;
    },
  };
}

function answerIn(lines: readonly Line[], to: Line, { typeUrl, nonce }: DeltaDiscoveryResponse): DeltaDiscoveryRequest {
  for (const { zone, stream, message } of lines) {
    if (message.kind !== "request" || zone !== to.zone || stream !== to.stream) continue;
    if (message.request.typeUrl === typeUrl && message.request.responseNonce === nonce) return message.request;
  }
  throw new Error(`no recorded answer to ${typeUrl} ${nonce}`);
}

/** The words of a refusal are ours; where it points to is not. */
function assertSameAnswer(ours: DeltaDiscoveryRequest, recorded: DeltaDiscoveryRequest, step: string): void {
  const plain = ({ errorDetail, ...request }: DeltaDiscoveryRequest) => ({
    request: toJson(DeltaDiscoveryRequestSchema, request),
    refused: errorDetail?.message.replace(/: .*/, ""),
  });
  assert.deepEqual(plain(ours), plain(recorded), `${step}: ${recorded.typeUrl}, ${ours.errorDetail?.message}`);
}

function assertSubscription({
  typeUrl,
  node,
  resourceNamesSubscribe,
  initialResourceVersions,
}: DeltaDiscoveryRequest): void {
  assert.ok(
    globalToZoneKinds.some(({ name }) => name === typeUrl),
    typeUrl,
  );
  assert.deepEqual(resourceNamesSubscribe, ["*"]);
  assert.deepEqual(initialResourceVersions, {});
  assert.equal(node?.id, "zone-1");
  const { features, config, version, "control-plane-id": instance } = node?.metadata ?? {};
  assert.deepEqual(features, [...stockFeatures, "kodiak-resume"]);
  assert.deepEqual(JSON.parse(String(config)), { store: { type: "memory" } });
  assert.deepEqual(version, { kumaCp: { version: "test" } });
  assert.equal(instance, "zone-1-1");
}

function assertHeaders({ headers }: ServerStream): void {
  assert.deepEqual(headers["client-id"], ["zone-1"]);
  assert.deepEqual(headers["kds-version"], ["v3"]);
  assert.deepEqual(headers.features, ["zone-ping-health", "hash-suffix"]);
  assert.deepEqual(headers.version, ["test"]);
  assert.deepEqual(headers["grpc-encoding"], ["gzip"]);
}

/** What a stock zone told, as ours does: its ingresses answer probes and name ports, and say so (decisions 27, 30). */
function withOurs({ ZoneIngress, ...others }: Told["all"]): Told["all"] {
  if (!ZoneIngress) return others;
  const named = Object.entries(ZoneIngress as Readonly<Record<string, Pick<Resource, "labels">>>).map(
    ([name, { labels, ...one }]) =>
      [name, { ...one, labels: { ...labels, [label.answersProbes]: "true", [label.namesPorts]: "true" } }] as const,
  );
  return { ...others, ZoneIngress: Object.fromEntries(named) };
}

function assertHolds(stored: readonly Resource[], told: ReadonlyMap<string, Resource>, what: string): void {
  const plain = (resources: Iterable<Resource>) =>
    new Map([...resources].map((one) => [keyOf(one), { labels: one.labels, spec: one.spec }]));
  const globals = stored.filter(
    ({ kind, labels }) => !kindNamed(kind).sync.writtenOnZone || labels[label.origin] === "global",
  );
  assert.deepEqual(plain(globals), plain(told.values()), what);
}
