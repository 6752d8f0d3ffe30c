import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { openLog } from "#host/log.ts";
import { createBuiltinAuthority } from "#identity/authority.ts";
import { realCredentials } from "#identity/credentials.ts";
import { signIntermediate } from "#identity/intermediate.ts";
import { certificatesIn } from "#identity/pem.ts";
import { certificateAnswer, intermediateAskIn } from "#kds/members.ts";
import { memoryStore } from "#store/memory.ts";
import { intermediates } from "#zone/intermediates.ts";

const day = 86_400_000;

/** A zone with its global, and a clock that is moved by hand. */
async function stage() {
  const time = { now: Date.parse("2026-01-01T00:00:00Z") };
  const alarms = new Set<{ readonly at: number; readonly ring: () => void }>();
  const clock = {
    now: () => time.now,
    alarm(at: number, ring: () => void) {
      const alarm = { at, ring };
      alarms.add(alarm);
      return () => void alarms.delete(alarm);
    },
  };
  const pass = (ms: number): void => {
    time.now += ms;
    for (const alarm of [...alarms].filter(({ at }) => at <= time.now)) {
      alarms.delete(alarm);
      alarm.ring();
    }
  };
  const root = await createBuiltinAuthority("default", time.now);
  const global = { isAway: false, asked: 0, root };
  const store = memoryStore(clock, { uuid: () => "id" });
  let arrived = Promise.withResolvers<void>();
  let asked = Promise.withResolvers<void>();
  const start = () =>
    intermediates({
      isListed: () => true,
      async ask(_, bytes) {
        global.asked++;
        asked.resolve();
        if (global.isAway) throw new Error("away");
        const { mesh, request } = intermediateAskIn(bytes);
        return certificateAnswer(
          await signIntermediate({ what: "root", ...global.root }, { mesh, zone: "zone-a", request }, time.now),
        );
      },
      credentials: realCredentials,
      store,
      clock,
      log: openLog("silent"),
      onArrived: () => arrived.resolve(),
    });
  return {
    ...{ time, pass, global, start },
    root: root.certificate,
    /** Resolves with the next one's arrival after `begin`. */
    async arrival(begin: () => void) {
      arrived = Promise.withResolvers();
      begin();
      await arrived.promise;
    },
    /** Resolves when global is asked after `begin`, and what it answers at once has been taken. */
    async question(begin: () => void) {
      asked = Promise.withResolvers();
      begin();
      await asked.promise;
      await new Promise(setImmediate);
    },
  };
}

test("a zone asks once, and has it from then on, also when it is started anew", async () => {
  const { start, arrival, root, global } = await stage();
  const zone = start();
  await arrival(() => {
    assert.equal(zone.under("default", "ca-1", root), undefined);
    assert.equal(zone.under("default", "ca-1", root), undefined);
  });
  const kept = zone.under("default", "ca-1", root);
  assert.equal(global.asked, 1);
  const [own, above] = certificatesIn(kept?.certificate ?? "").map((pem) => new X509Certificate(pem));
  assert.ok(own?.checkIssued(above as X509Certificate) && own.verify((above as X509Certificate).publicKey));
  assert.deepEqual(kept?.trustBundle, certificatesIn(root));
  zone.stop();
  assert.deepEqual(start().under("default", "ca-1", root), kept);
  assert.equal(global.asked, 1);
});

test("what global did not give is asked for when it is back", async () => {
  const { start, arrival, root, global } = await stage();
  const zone = start();
  global.isAway = true;
  assert.equal(zone.under("default", "ca-1", root), undefined);
  await new Promise(setImmediate);
  global.isAway = false;
  await arrival(zone.connected);
  assert.ok(zone.under("default", "ca-1", root));
});

test("a renewal that failed is asked for when global is back; while it is there and gives none, after one minute, two, four, up to an hour", async () => {
  const { start, arrival, question, root, global, pass } = await stage();
  const zone = start();
  await arrival(() => zone.under("default", "ca-1", root));
  const first = zone.under("default", "ca-1", root);
  global.isAway = true;
  await question(() => pass(183 * day));
  for (const minutes of [1, 2, 4, 8, 16, 32, 60, 60]) {
    const before = global.asked;
    pass(minutes * 60_000 - 1);
    assert.equal(global.asked, before, `before ${minutes} min`);
    await question(() => pass(1));
    assert.equal(global.asked, before + 1);
  }
  global.isAway = false;
  await arrival(zone.connected);
  assert.notEqual(zone.under("default", "ca-1", root)?.certificate, first?.certificate);
  const before = global.asked;
  zone.connected();
  await new Promise(setImmediate);
  assert.equal(global.asked, before, "nothing is due");
});

test("it is renewed at half of its year; without global the old one is used until it ends", async () => {
  const { start, arrival, root, global, pass } = await stage();
  const zone = start();
  await arrival(() => zone.under("default", "ca-1", root));
  const first = zone.under("default", "ca-1", root);
  await arrival(() => pass(183 * day));
  const second = zone.under("default", "ca-1", root);
  assert.notEqual(second?.certificate, first?.certificate);
  global.isAway = true;
  pass(364 * day);
  assert.deepEqual(zone.under("default", "ca-1", root), second);
  pass(2 * day);
  assert.equal(zone.under("default", "ca-1", root), undefined);
});

test("of an authority that the mesh has no more it is not used", async () => {
  const { start, arrival, root, global, time } = await stage();
  const zone = start();
  await arrival(() => zone.under("default", "ca-1", root));
  const other = await createBuiltinAuthority("default", time.now);
  global.root = other;
  await arrival(() => assert.equal(zone.under("default", "ca-1", other.certificate), undefined));
  assert.deepEqual(zone.under("default", "ca-1", other.certificate)?.trustBundle, [other.certificate]);
});
