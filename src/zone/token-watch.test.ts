import assert from "node:assert/strict";
import { before, test } from "node:test";
import { realCredentials } from "#identity/credentials.ts";
import { secretResource } from "#identity/secret.ts";
import { createSigningKey, dataplaneTokenKeys, readSigningKey, signingKeyId } from "#identity/signing-key.ts";
import { issueDataplaneToken } from "#identity/tokens.ts";
import type { Resource, ResourceId } from "#resources/resource.ts";
import { memoryStore } from "#store/memory.ts";
import { tokenCheck } from "#zone/token-check.ts";
import { tokenWatch } from "#zone/token-watch.ts";

const place = dataplaneTokenKeys("default");
const hour = 3_600_000;
let pem = "";
before(async () => {
  pem = await createSigningKey();
});

/** A clock that is set by hand, and proxies that are connected from the beginning. */
async function stage() {
  let now = 1_800_000_000_000;
  const clock = { now: () => now, alarm: () => () => {} };
  const store = memoryStore(clock, { uuid: () => "id" });
  const write = (resource: Omit<Resource, "creationTime" | "modificationTime">) =>
    store.write([{ kind: "put", resource: resource as Resource }]);
  await write(secretResource(signingKeyId(place, "1"), pem));
  const zone = { kind: "zone", zone: "zone-a", isFederated: false } as const;
  // What it decides, in the order of the calls; each is answered before the next change is written.
  let checks: Promise<void>[] = [];
  const tokens = tokenCheck({ place: zone, store, clock, credentials: realCredentials });
  const watch = tokenWatch(store, {
    ...tokens,
    check(...args) {
      const done = tokens.check(...args);
      checks.push(done);
      return done;
    },
  });
  const read = readSigningKey(Buffer.from(pem));
  assert.ok(read.ok);
  const key = { kid: "1", privateKey: read.key };
  const refused: string[] = [];
  const dataplane = (name: string, service: string) => ({
    ...{ kind: "Dataplane", mesh: "default", name, labels: {} },
    spec: { networking: { inbound: [{ port: 80, tags: { "kuma.io/service": service } }] } },
  });
  return {
    ...{ store, write, watch, refused, dataplane },
    pass(ms: number): void {
      now += ms;
    },
    /** How many tokens were looked at since the last call. */
    async checked(): Promise<number> {
      const results = await Promise.allSettled(checks);
      checks = [];
      return results.length;
    },
    async connect(name: string, since = watch.moment) {
      const proxy = dataplane(name, "web") as unknown as Resource;
      const claims = { name, mesh: "default", tags: { "kuma.io/service": ["web"] }, type: "", workload: "" };
      const token = await issueDataplaneToken(claims, key, { now, validForMs: hour, tokenId: `of-${name}` });
      const onRefused = (error: unknown) => refused.push(`${name}: ${String(error).split(/: |;/)[2]}`);
      return watch.hold({ proxy, token, at: now, since, onRefused });
    },
    revoke: (...ids: readonly string[]) => write(secretResource(place.revocations, ids.join(","))),
  };
}

test("each is refused once, when its token or its key goes, and not any more when it is gone", async () => {
  const { connect, revoke, refused, checked, store } = await stage();
  await connect("a");
  await connect("b");
  const letGo = await connect("c");
  await revoke("of-a");
  assert.equal(await checked(), 3);
  assert.deepEqual(refused, ["a: token is revoked"]);
  letGo();
  const id: ResourceId = signingKeyId(place, "1");
  await store.write([{ kind: "delete", id }]);
  assert.equal(await checked(), 1);
  assert.match(refused.slice(1).join(), /^b: there is no signing key with KID 1/);
});

test("one that expires while its proxy is connected ends nothing, whatever else changes", async () => {
  const { connect, revoke, refused, checked, pass } = await stage();
  await connect("a");
  pass(2 * hour);
  await revoke("another");
  assert.equal(await checked(), 1);
  assert.deepEqual(refused, []);
});

test("secrets of others, and changes that are none of tags, are not looked at", async () => {
  const { connect, write, dataplane, checked } = await stage();
  await write(dataplane("a", "web"));
  await connect("a");
  await connect("b");
  await write(secretResource(signingKeyId(dataplaneTokenKeys("other"), "1"), pem));
  await write(secretResource({ kind: "GlobalSecret", mesh: "", name: "user-token-revocations" }, "of-a"));
  const moved = dataplane("a", "web");
  await write({ ...moved, spec: { networking: { ...moved.spec.networking, address: "10.0.0.1" } } });
  assert.equal(await checked(), 0);
  await write(dataplane("a", "db"));
  assert.equal(await checked(), 1);
});

test("what changes while a proxy is let in is looked at, too", async () => {
  const { connect, revoke, refused, checked, watch } = await stage();
  const since = watch.moment;
  await revoke("of-a");
  await connect("a", since);
  assert.equal(await checked(), 1);
  assert.deepEqual(refused, ["a: token is revoked"]);
});
