import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { DeltaDiscoveryRequestSchema } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { openLog } from "#host/log.ts";
import { grpcCode, type ServerStream, type Status } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import { adsPath, xdsServer } from "#xds/server.ts";

/** A stream of which the test is the other end, and the alarms that are set. */
function served(admitted: Promise<never>) {
  const alarms = new Map<symbol, { readonly atMs: number; readonly ring: () => void }>();
  const clock = {
    now: () => 0,
    alarm(atMs: number, ring: () => void) {
      const self = Symbol();
      alarms.set(self, { atMs, ring });
      return () => void alarms.delete(self);
    },
  };
  const server = xdsServer({ instanceId: "a", log: openLog("silent"), clock, bundles: [], admit: () => admitted });
  const ended = Promise.withResolvers<Status>();
  let receive = (_: Uint8Array): void => {};
  const stream: ServerStream = {
    ...{ path: adsPath, headers: {}, peer: "127.0.0.1:1", client: undefined },
    sendHeaders: () => {},
    send: () => true,
    onMessage(handle) {
      receive = handle;
    },
    onDrained: () => {},
    onEnd: (handle) => void ended.promise.then(handle),
    end: ended.resolve,
  };
  server.serve(stream);
  return { alarms, ended: ended.promise, receive: (bytes: Uint8Array) => receive(bytes) };
}
const request = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, {}));

test("a stream without a request is ended after 10 s, and none that has had one", async () => {
  const never = new Promise<never>(() => {});
  const silent = served(never);
  const [alarm] = silent.alarms.values();
  assert.equal(alarm?.atMs, 10_000);
  alarm.ring();
  assert.equal((await silent.ended).code, grpcCode.deadlineExceeded);
  const usual = served(never);
  usual.receive(request);
  assert.equal(usual.alarms.size, 0);
});

test("what a proxy is refused for it is told, but not what went wrong here", async () => {
  const forbidden = served(Promise.reject(new KodiakError({ kind: "forbidden", why: "not you" })));
  forbidden.receive(request);
  assert.deepEqual(await forbidden.ended, { code: grpcCode.unknown, message: "not you" });
  const broken = served(Promise.reject(new TypeError("secret")));
  broken.receive(request);
  assert.deepEqual(await broken.ended, { code: grpcCode.internal, message: "internal error; see the server's log" });
  const noise = served(new Promise<never>(() => {}));
  noise.receive(Buffer.from("hunter2"));
  const { code, message } = await noise.ended;
  assert.equal(code, grpcCode.invalidArgument);
  assert.match(message, /^not a DeltaDiscoveryRequest: (?!.*hunter)/);
});
