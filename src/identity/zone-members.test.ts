import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { test } from "node:test";
import type { CallInfo, ClientCertificate } from "#host/world.ts";
import { newSigningRequest } from "#identity/certificate.ts";
import { firstStart } from "#identity/first-start.ts";
import { tokenIssuer } from "#identity/token-issuer.ts";
import { certificateOf, zoneCertificateLastsMs } from "#identity/zone-certificate.ts";
import { zoneMembers } from "#identity/zone-members.ts";
import { KodiakError } from "#lib/failure.ts";
import { memoryStore } from "#store/memory.ts";

const minute = 60_000;
const day = 86_400_000;
const start = Date.parse("2026-01-01T00:00:00Z");

async function stage(unauthenticated: readonly string[] = []) {
  const time = { now: start };
  const clock = { now: () => time.now, alarm: () => () => {} };
  const ids = { count: 0 };
  const random = { uuid: () => `id-${++ids.count}`, fraction: () => 0 };
  const store = memoryStore(clock, random);
  await firstStart(store, clock, random, { kind: "global" });
  const members = zoneMembers({ store, clock, unauthenticated });
  const tokens = tokenIssuer(store, clock, random).issue;
  const { request } = await newSigningRequest();
  const ask = (zone: string, token: string | undefined, more: Partial<{ request: string; now: number }> = {}) =>
    members.certify(zone, { request, now: time.now, ...(token !== undefined && { token }), ...more }, call());
  const join = async (zone: string): Promise<string> =>
    ask(zone, await tokens.join({ zone, validForMs: 10 * minute }), { request: (await newSigningRequest()).request });
  return { time, members, tokens, request, ask, join, store };
}

const call = (client?: ClientCertificate): CallInfo => ({ path: "", headers: {}, peer: "", client });

/** As TLS shows it. */
function shown(pem: string, zone: string, problem?: string): ClientCertificate {
  const { serial, notAfter, renewAt } = certificateOf(pem);
  return {
    uris: [`spiffe://kodiak/zone/${zone}`],
    serial,
    notAfter,
    notBefore: 2 * renewAt - notAfter,
    ...(problem !== undefined && { problem }),
  };
}

const anew = "make another with `kodiak token join --zone zone-a` and start the zone with --join-token";

async function refusalOf(attempt: () => unknown): Promise<string> {
  try {
    await attempt();
  } catch (error) {
    if (error instanceof KodiakError) return `${error.failure.kind}: ${error.message}`;
    throw error;
  }
  throw new Error("was not refused");
}

test("a join token gives a certificate for its zone, with which the zone may call", async () => {
  const { members, join } = await stage();
  const pem = await join("zone-a");
  members.check("zone-a", call(shown(pem, "zone-a")));
  assert.equal(certificateOf(pem).notAfter, start + zoneCertificateLastsMs);
  assert.equal(createPublicKey(pem).asymmetricKeyDetails?.namedCurve, "prime256v1");
});

test("a token is good for one key: whoever has not heard the answer asks again, another is refused", async () => {
  const { tokens, ask, time } = await stage();
  const token = await tokens.join({ zone: "zone-a", validForMs: 10 * minute });
  await ask("zone-a", token);
  await ask("zone-a", token);
  time.now += minute;
  const { request } = await newSigningRequest();
  assert.equal(
    await refusalOf(() => ask("zone-a", token, { request })),
    `unauthenticated: the join token was used before, at 2026-01-01T00:00:00.000Z; ${anew}`,
  );
});

test("two that use one token at once: one gets in", async () => {
  const { tokens, ask } = await stage();
  const token = await tokens.join({ zone: "zone-a", validForMs: 10 * minute });
  const two = await Promise.all([newSigningRequest(), newSigningRequest()]);
  const ends = await Promise.allSettled(two.map(({ request }) => ask("zone-a", token, { request })));
  assert.deepEqual(ends.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
});

test("an expired token is refused with since when, and with what is wrong with the clock", async () => {
  const { tokens, ask, time } = await stage();
  const token = await tokens.join({ zone: "zone-a", validForMs: 10 * minute });
  time.now += 13 * minute;
  const expired =
    "unauthenticated: the join token is not taken: could not parse token: token has invalid claims: token is expired, since 2026-01-01T00:10:00.000Z";
  assert.equal(await refusalOf(() => ask("zone-a", token)), `${expired}; ${anew}`);
  assert.equal(
    await refusalOf(() => ask("zone-a", token, { now: time.now - 4 * minute })),
    `${expired}; the clock of the zone's machine is 4 min behind global's; ${anew}`,
  );
});

test("tokens of others are refused", async () => {
  const { tokens, ask } = await stage();
  const other = await tokens.join({ zone: "zone-b", validForMs: minute });
  assert.equal(
    await refusalOf(() => ask("zone-a", other)),
    `forbidden: the join token is for zone "zone-b", not for zone "zone-a"; ${anew}`,
  );
  for (const token of [
    await tokens.zone({ zone: "zone-a", scope: ["ingress"], validForMs: minute }),
    await tokens.user({ name: "zone-a", groups: [], validForMs: minute }),
    "nonsense",
    "",
  ])
    assert.match(await refusalOf(() => ask("zone-a", token)), /^unauthenticated: the join token is not taken: /);
});

test("what is no request for a certificate is refused, and the token is still good", async () => {
  const { tokens, ask } = await stage();
  const token = await tokens.join({ zone: "zone-a", validForMs: minute });
  for (const request of ["", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"])
    assert.match(await refusalOf(() => ask("zone-a", token, { request })), /^invalid: the certificate signing request/);
  await ask("zone-a", token);
});

test("without a certificate only those come that are named", async () => {
  const { members, ask } = await stage(["kuma-1"]);
  members.check("kuma-1", call());
  assert.equal(
    await refusalOf(() => members.check("zone-a", call())),
    'unauthenticated: zone "zone-a" shows no certificate: start it with --join-token, from `kodiak token join --zone zone-a`; a zone of a Kuma is let in by --allow-unauthenticated-zones of global',
  );
  assert.match(await refusalOf(() => ask("kuma-1", undefined)), /shows no certificate/);
});

test("a certificate of another zone, or of another authority, or one that has ended, is refused", async () => {
  const { members, join, time } = await stage(["zone-b"]);
  const pem = await join("zone-a");
  const refused = (zone: string, client: ClientCertificate) => refusalOf(() => members.check(zone, call(client)));
  assert.equal(
    await refused("zone-b", shown(pem, "zone-a")),
    'forbidden: a certificate of zone "zone-a" can\'t be used as zone "zone-b"; use the name with which it joined',
  );
  assert.match(await refused("zone-a", { ...shown(pem, "zone-a"), uris: [] }), /^forbidden: a certificate of no zone /);
  assert.equal(
    await refused("zone-a", shown(pem, "zone-a", "SELF_SIGNED_CERT_IN_CHAIN")),
    'unauthenticated: the certificate of zone "zone-a" is not of this global control plane (SELF_SIGNED_CERT_IN_CHAIN); the zone must join it with a token of its own',
  );
  // As a resumed session would show it.
  time.now += 93 * day;
  assert.equal(
    await refused("zone-a", shown(pem, "zone-a")),
    'unauthenticated: the certificate of zone "zone-a" expired 3 d ago by global\'s clock; the zone must join anew with a token',
  );
});

test("a certificate is renewed by the one before it, and revoked with it", async () => {
  const { members, join, time, request, ask } = await stage();
  const first = await join("zone-a");
  time.now += 45 * day;
  const renewed = await members.certify("zone-a", { request, now: time.now }, call(shown(first, "zone-a")));
  const both = [first, renewed].map((pem) => call(shown(pem, "zone-a")));
  for (const one of both) members.check("zone-a", one);
  await members.revoke("zone-a");
  for (const one of both) {
    const why = `unauthenticated: the certificate of zone "zone-a" was revoked at 2026-02-15T00:00:00.000Z; ${anew}`;
    assert.equal(await refusalOf(() => members.check("zone-a", one)), why);
    assert.equal(await refusalOf(() => members.certify("zone-a", { request, now: time.now }, one)), why);
  }
  assert.match(await refusalOf(() => ask("zone-a", undefined)), /shows no certificate/);
  const again = await join("zone-a");
  members.check("zone-a", call(shown(again, "zone-a")));
});

test("one that the store does not know, as it is an older copy, is revoked with the others", async () => {
  const { members, join, time, store } = await stage();
  const pem = await join("zone-a");
  await store.write([{ kind: "note", key: "member zone-a", before: store.note("member zone-a"), after: undefined }]);
  time.now += minute;
  await members.revoke("zone-a");
  assert.match(await refusalOf(() => members.check("zone-a", call(shown(pem, "zone-a")))), /was revoked/);
});
