import assert from "node:assert/strict";
import { test } from "node:test";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import { openLog } from "#host/log.ts";
import { createBuiltinAuthority, readAuthority } from "#identity/authority.ts";
import { createIssuer } from "#identity/issuer.ts";
import { builtinCertificateId, builtinKeyId, secretResource } from "#identity/secret.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import type { WantedCertificate } from "#owned/wanted-certificate.ts";
import type { Resource } from "#resources/resource.ts";
import { memoryStore } from "#store/memory.ts";
import { egressCertificateKey } from "#topology/egress.ts";
import { certificateKeeper, type KeptCertificate } from "#zone/certificates.ts";

const day = 86_400_000;
const key = "default/backend-1";
const egressKey = egressCertificateKey("egress-1", "default");
const wantedOf = (version: string): WantedCertificate => ({
  mesh: "default",
  backend: "ca-1",
  services: ["backend"],
  tags: { "kuma.io/service": ["backend"], version: [version] },
  validityMs: 7 * day,
});

const mtls = { enabledBackend: "ca-1", backends: ["ca-1", "ca-2"].map((name) => ({ name, type: "builtin" })) };

/** A store with an authority; each `start` is a control plane that begins anew on it. */
async function stage() {
  const time = { ms: Date.UTC(2026, 10, 24) };
  const store = memoryStore({ now: () => time.ms }, { uuid: () => crypto.randomUUID() });
  async function newAuthority(): Promise<void> {
    const { certificate, privateKey } = await createBuiltinAuthority("default", time.ms);
    const secrets = [
      secretResource(builtinCertificateId("default", "ca-1"), certificate),
      secretResource(builtinKeyId("default", "ca-1"), privateKey),
    ];
    await store.write(secrets.map((resource) => ({ kind: "put", resource })));
  }
  await newAuthority();

  function start(intermediates?: Parameters<typeof certificateKeeper>[0]["intermediates"]) {
    const alarms = new Map<() => void, number>();
    const graph = incrementalGraph();
    const wanted = graph.source<WantedCertificate>("wanted");
    const dataplanes = graph.source<Resource>("Dataplane");
    const egresses = graph.source<Resource>("ZoneEgress");
    const signing = { fails: false };
    const meshes = graph.source<Resource<MeshJson>>("Mesh");
    meshes.set("default", { ...secretResource({ kind: "Mesh", mesh: "", name: "default" }, ""), spec: { mtls } });
    const certificates = graph.source<KeptCertificate>("certificates");
    let issued = Promise.withResolvers<void>();
    const keeper = certificateKeeper({
      ...{
        wanted,
        dataplanes,
        egresses,
        certificates,
        store,
        meshes,
        secrets: graph.source<Resource>("Secret"),
      },
      ...(intermediates && { intermediates }),
      touch: () => issued.resolve(),
      issuerOf(kept) {
        const real = createIssuer(readAuthority(kept));
        return {
          ...real,
          issue: (...args) => (signing.fails ? Promise.reject(new Error("not now")) : real.issue(...args)),
        };
      },
      clock: {
        now: () => time.ms,
        alarm(at, ring) {
          alarms.set(ring, at);
          return () => void alarms.delete(ring);
        },
      },
      log: openLog("silent"),
    });
    return {
      signing,
      status: () => certificates.get(key)?.status,
      /** An intermediate has come. */
      async arrived(): Promise<string | undefined> {
        issued = Promise.withResolvers();
        keeper.again();
        await issued.promise;
        return certificates.get(key)?.chain;
      },
      async chainFor(want: WantedCertificate): Promise<string | undefined> {
        issued = Promise.withResolvers();
        wanted.set(key, want);
        keeper.publish(graph.settle());
        await issued.promise;
        return certificates.get(key)?.chain;
      },
      chain: () => certificates.get(key)?.chain,
      /** What is due by then happens, as far as it can at once. */
      pass(ms: number): void {
        time.ms += ms;
        for (const [ring, at] of [...alarms]) if (at <= time.ms && alarms.delete(ring)) ring();
      },
      async again(): Promise<string | undefined> {
        issued = Promise.withResolvers();
        keeper.again();
        await issued.promise;
        return certificates.get(key)?.chain;
      },
      /** Of so many proxies, in one turn. */
      wantMany(want: WantedCertificate, count: number): void {
        for (let i = 0; i < count; i++) wanted.set(`default/backend-${i}`, want);
        keeper.publish(graph.settle());
      },
      async issuedNext(): Promise<string | undefined> {
        issued = Promise.withResolvers();
        await issued.promise;
        return certificates.get(key)?.chain;
      },
      /** Its own certificates, in mesh default. */
      egress(is: Resource | undefined, want: WantedCertificate | undefined): void {
        egresses.set("egress-1", is);
        wanted.set(egressKey, want);
        keeper.publish(graph.settle());
      },
      dataplane(is: Resource | undefined): void {
        dataplanes.set(key, is);
        keeper.publish(graph.settle());
      },
      async stop(): Promise<void> {
        keeper.stop();
        // Behind what the keeper wrote.
        await store.write([]);
      },
    };
  }
  return { time, store, newAuthority, start };
}

test("a restart issues nothing again that holds and is still wanted", async () => {
  const { time, start } = await stage();
  const first = start();
  const chain = await first.chainFor(wantedOf("v1"));
  assert.ok(chain);
  await first.stop();
  time.ms += 3 * day;
  const second = start();
  assert.equal(await second.chainFor(wantedOf("v1")), chain);
  assert.notEqual(await second.chainFor(wantedOf("v2")), chain);
});

test("what is due, or was signed by another authority, is issued anew after a restart", async () => {
  const { time, newAuthority, start } = await stage();
  const first = start();
  const chain = await first.chainFor(wantedOf("v1"));
  await first.stop();
  time.ms += 4 * day;
  const second = start();
  const later = await second.chainFor(wantedOf("v1"));
  assert.notEqual(later, chain);
  await second.stop();
  await newAuthority();
  assert.notEqual(await start().chainFor(wantedOf("v1")), later);
});

test("what was due while there was no authority is issued when there is one again", async () => {
  const { store, start } = await stage();
  const zone = start();
  const chain = await zone.chainFor(wantedOf("v1"));
  const id = builtinKeyId("default", "ca-1");
  const authority = store.get(id);
  assert.ok(authority);
  await store.write([{ kind: "delete", id }]);
  zone.pass(5 * day);
  await zone.stop();
  assert.equal(zone.chain(), chain);
  await store.write([{ kind: "put", resource: authority }]);
  const next = await zone.again();
  assert.notEqual(next, chain);
  zone.pass(5 * day);
  assert.notEqual(await zone.again(), next, "renewed in time from then on");
});

test("a certificate goes with its Dataplane", async () => {
  const { store, start } = await stage();
  const first = start();
  const id = { kind: "Dataplane", mesh: "default", name: "backend-1" };
  first.dataplane({ ...secretResource(id, ""), spec: {} });
  await first.chainFor(wantedOf("v1"));
  await first.stop();
  assert.match(store.note(`certificate ${key}`) ?? "", /BEGIN PRIVATE KEY/);
  first.dataplane(undefined);
  await first.stop();
  assert.equal(store.note(`certificate ${key}`), undefined);
});

test("those of an egress go when nobody wants them, or with an egress that has not come back since a start", async () => {
  const { store, start } = await stage();
  const egress = { ...secretResource({ kind: "ZoneEgress", mesh: "", name: "egress-1" }, ""), spec: {} };
  const note = () => store.note(`certificate ${egressKey}`);
  const issuedBy = async (zone: ReturnType<typeof start>) => {
    const next = zone.issuedNext();
    zone.egress(egress, wantedOf("v1"));
    await next;
    await zone.stop();
    assert.match(note() ?? "", /BEGIN PRIVATE KEY/);
  };
  const first = start();
  await issuedBy(first);
  first.egress(egress, undefined);
  await first.stop();
  assert.equal(note(), undefined);
  await issuedBy(first);
  const second = start();
  second.egress(egress, undefined);
  second.egress(undefined, undefined);
  await second.stop();
  assert.equal(note(), undefined);
});

test("a renewal that fails is tried again, and what there was goes on", async () => {
  const { start } = await stage();
  const zone = start();
  const chain = await zone.chainFor(wantedOf("v1"));
  zone.signing.fails = true;
  for (const ms of [4 * day, 60_000]) {
    zone.pass(ms);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(zone.chain(), chain);
  }
  zone.signing.fails = false;
  const next = zone.issuedNext();
  zone.pass(60_000);
  assert.notEqual(await next, chain);
  assert.equal(zone.status()?.regenerations, 2);
});

test("who signs is found out once for all proxies of a mesh", async () => {
  const { time, store, start } = await stage();
  const { certificate, privateKey } = await createBuiltinAuthority("default", time.ms);
  await store.write([
    { kind: "put", resource: secretResource(builtinCertificateId("default", "ca-1"), certificate) },
    { kind: "delete", id: builtinKeyId("default", "ca-1") },
  ]);
  let asked = 0;
  const under = () => {
    asked++;
    return { what: "ca-1", certificate, privateKey };
  };
  const zone = start({ under, held: () => undefined });
  zone.wantMany(wantedOf("v1"), 20);
  assert.equal(asked, 1);
});

test("a zone that has no authority under the new backend yet goes on with the one before, for who comes now, too", async () => {
  const { time, store, start } = await stage();
  const [first, second] = await Promise.all([1, 2].map(() => createBuiltinAuthority("default", time.ms)));
  assert.ok(first && second);
  const certificates = [first, second].map(({ certificate }, i) =>
    secretResource(builtinCertificateId("default", `ca-${i + 1}`), certificate),
  );
  await store.write([
    ...certificates.map((resource) => ({ kind: "put" as const, resource })),
    { kind: "delete", id: builtinKeyId("default", "ca-1") },
  ]);
  const has = new Map([["ca-1", { what: "ca-1", ...first }]]);
  const asked: string[] = [];
  const zone = start({
    held: (_, backend) => has.get(backend),
    under(_, backend) {
      asked.push(backend);
      return has.get(backend);
    },
  });
  const wanted = { ...wantedOf("v1"), backend: "ca-2" };
  const chain = await zone.chainFor(wanted);
  assert.equal(zone.status()?.backend, "ca-1");
  assert.deepEqual(asked, ["ca-2"], "only what is wanted is asked for");
  has.set("ca-2", { what: "ca-2", ...second });
  const later = await zone.arrived();
  assert.notEqual(later, chain);
  assert.equal(zone.status()?.backend, "ca-2");
});
