// P9: what had mTLS never speaks plaintext again, unless a user says so: by taking the authority off a Mesh that carries the label, or, for
// what comes in, by mode PERMISSIVE. Seen to catch: a mesh that is deleted and made
// again without; a restart that forgets what was promised.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import { openLog } from "#host/log.ts";
import type { Source } from "#incremental/collection.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import type { JsonObject } from "#lib/json.ts";
import { mtlsPromises, type PromisedMtls } from "#owned/promised-mtls.ts";
import { bundlesOf } from "#proxy/bundle.ts";
import { proxyPipeline } from "#proxy/pipeline.ts";
import type { IssuedCertificate } from "#proxy/secrets.ts";
import { kinds } from "#resources/kinds.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import type { Edit } from "#resources/store.ts";
import type { Mark } from "#topology/provider.ts";
import { promiseKeeper, rememberPromises } from "#zone/promised-mtls.ts";
import { authorityOf } from "../lab/authority.ts";
import { get } from "../lab/http.ts";
import { eventually, lab, put } from "../lab/lab.ts";
import { mesh } from "../lab/manifests.ts";
import { oneZone } from "../lab/one-zone.ts";
import { clientCertificate, handshake } from "../lab/openssl.ts";

const histories = process.env.SOAK_RECORD === undefined ? 300 : 10_000;
const stored = (kind: string, inMesh: string, name: string, spec: JsonObject, labels = {}): Resource => ({
  ...{ kind, mesh: inMesh, name, spec, labels },
  ...{ creationTime: zeroTime, modificationTime: zeroTime },
});

const backend = (name: string, mode?: string): JsonObject => ({ name, type: "builtin", ...(mode && { mode }) });
const withMtls = (enabledBackend: string, ...backends: JsonObject[]) => ({
  spec: { mtls: { enabledBackend, backends } },
});
const meshes: Readonly<
  Record<string, { readonly spec: JsonObject; readonly labels?: Record<string, string> } | undefined>
> = {
  absent: undefined,
  plain: { spec: {} },
  disabled: { spec: { mtls: { backends: [backend("a")] } } },
  "plain, label no": { spec: {}, labels: { "kodiak.io/allow-plaintext": "no" } },
  allowed: { spec: {}, labels: { "kodiak.io/allow-plaintext": "yes" } },
  "strict a": withMtls("a", backend("a")),
  "strict b": withMtls("b", backend("b")),
  "strict a of both": withMtls("a", backend("a"), backend("b")),
  "strict b of both": withMtls("b", backend("a"), backend("b")),
  permissive: withMtls("a", backend("a", "PERMISSIVE")),
  "a backend that is not listed": withMtls("c", backend("a")),
  "no backend listed": withMtls("a"),
};
const names = Object.keys(meshes);

type Step =
  | { readonly kind: "mesh"; readonly is: string }
  | { readonly kind: "secret" | "certificate" | "proxy"; readonly name: string; readonly isThere: boolean }
  | { readonly kind: "restart" };
const isThere = fc.boolean();
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("mesh" as const), is: fc.constantFrom(...names) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("secret" as const), name: fc.constantFrom("a", "b"), isThere }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("certificate" as const),
      name: fc.constantFrom("client", "server"),
      isThere,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("proxy" as const), name: fc.constantFrom("client", "server"), isThere }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
);

const proxies: Readonly<Record<string, JsonObject>> = {
  client: {
    networking: {
      address: "10.0.0.1",
      inbound: [{ port: 80, tags: { "kuma.io/service": "client" } }],
      outbound: [{ port: 9000, tags: { "kuma.io/service": "server" } }],
    },
  },
  server: {
    networking: {
      address: "10.0.0.2",
      inbound: [
        { port: 80, tags: { "kuma.io/service": "server", "kuma.io/protocol": "http" } },
        { port: 81, tags: { "kuma.io/service": "db" } },
      ],
    },
  },
};

/** What an Envoy has, by type and name, as it was encoded: names of transport sockets and matches stand in it as they are. */
type Held = ReadonlyMap<string, Buffer>;
const has = (bytes: Buffer, text: string): boolean => bytes.includes(text);
const isTls = (bytes: Buffer): boolean => has(bytes, "envoy.transport_sockets.tls");
const spoken = (held: Held): readonly Buffer[] =>
  [...held].filter(([name]) => /^listener inbound:|^cluster (server|db)$/.test(name)).map(([, bytes]) => bytes);
const isMutual = (held: Held): boolean => spoken(held).length > 0 && spoken(held).every(isTls);
/** Takes plaintext beside mTLS. */
const isOpen = (held: Held): boolean => spoken(held).some((bytes) => has(bytes, "raw_buffer"));

/** A zone without its sockets: what is stored and noted survives its restarts, and Envoys keep what nobody tells them to change. */
function zoneOnPaper() {
  const contents = new Map<string, Resource>();
  const notes = new Map<string, string>();
  const certified = new Set<string>();
  const envoys = new Map<string, Held>();
  const store = {
    note: (key: string) => notes.get(key),
    write(edits: readonly Edit[]) {
      for (const edit of edits) {
        if (edit.kind !== "note") continue;
        if (edit.after === undefined) notes.delete(edit.key);
        else notes.set(edit.key, edit.after);
      }
      return Promise.resolve(1);
    },
  };

  function start() {
    const graph = incrementalGraph();
    const sources = new Map<string, Source<Resource>>(kinds.map(({ name }) => [name, graph.source<Resource>(name)]));
    const source = (kind: string) => sources.get(kind) ?? assert.fail(kind);
    const certificates = graph.source<IssuedCertificate>("certificates");
    const promised = graph.source<PromisedMtls>("promised");
    rememberPromises(store, promised);
    const promises = mtlsPromises(graph, source("Mesh") as never, source("Dataplane") as never, promised);
    const of = (kind: string) => (kind === "Mesh" ? promises.meshes : source(kind)) as never;
    const none = { marked: graph.source<Mark>("marked"), departed: graph.source<Resource<DataplaneJson>>("departed") };
    const pipeline = proxyPipeline(graph, { of, certificates, ...none }, "zone-a");
    const keeper = promiseKeeper(promises, promised, store, () => {}, openLog("silent"));
    const fill = (): void => {
      for (const kind of ["Mesh", "Secret", "Dataplane"])
        for (const key of [...source(kind).keys()])
          if (!contents.has(`${kind} ${key}`)) source(kind).set(key, undefined);
      for (const resource of contents.values()) source(resource.kind).set(keyOf(resource), resource);
      for (const name of Object.keys(proxies))
        certificates.set(
          `m/${name}`,
          certified.has(name) ? { mesh: "m", chain: "Yw==", privateKey: "aw==" } : undefined,
        );
    };
    return () => {
      fill();
      // Twice, as what is remembered is a change of its own.
      for (let i = 0; i < 2; i++) {
        keeper.publish(graph.settle());
        for (const name of Object.keys(proxies)) {
          const config = pipeline.dataplanes.get(`m/${name}`);
          if (!config) continue;
          const items = bundlesOf(config).flatMap(({ from, key }) => from.get(key) ?? []);
          envoys.set(name, new Map(items.map(({ type, item }) => [`${type} ${item.name}`, Buffer.from(item.bytes)])));
        }
      }
    };
  }
  return { contents, certified, envoys, start };
}

test(`after each of ${histories} histories of a mesh, its secrets and its proxies, nobody who had mTLS speaks plaintext`, async () => {
  const counts = { heldTo: 0, allowed: 0, opened: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 25 }), async (history) => {
      const zone = zoneOnPaper();
      const { contents, certified, envoys } = zone;
      const put = (resource: Resource, isThere: boolean): void => {
        if (isThere) contents.set(`${resource.kind} ${keyOf(resource)}`, resource);
        else contents.delete(`${resource.kind} ${keyOf(resource)}`);
      };
      for (const [name, spec] of Object.entries(proxies)) put(stored("Dataplane", "m", name, spec), true);
      let settle = zone.start();
      let now = "absent";
      let mode: string | undefined;
      const hadMtls = new Set<string>();
      for (const one of history) {
        const before = new Map(envoys);
        switch (one.kind) {
          case "mesh": {
            now = one.is;
            const is = meshes[now];
            put(stored("Mesh", "", "m", is?.spec ?? {}, is?.labels), is !== undefined);
            if (/strict/.test(now)) mode = "STRICT";
            if (now === "permissive") mode = "PERMISSIVE";
            break;
          }
          case "secret":
            put(stored("Secret", "m", `m.ca-builtin-cert-${one.name}`, { data: "Y2E=" }), one.isThere);
            break;
          case "proxy":
            put(stored("Dataplane", "m", one.name, proxies[one.name] ?? {}), one.isThere);
            break;
          case "certificate":
            certified[one.isThere ? "add" : "delete"](one.name);
            break;
          case "restart":
            // What was noted is durable first.
            await new Promise(setImmediate);
            settle = zone.start();
        }
        settle();
        const isGone = now === "absent" && !Object.keys(proxies).some((name) => contents.has(`Dataplane m/${name}`));
        // A mesh of which nothing is left promises nothing to another one of its name.
        if (isGone) envoys.clear();
        if (isGone || now === "allowed") hadMtls.clear();
        for (const [name, held] of envoys) {
          if (hadMtls.has(name)) {
            assert.ok(isMutual(held), `${name} speaks plaintext`);
            if (isOpen(held) && !isOpen(before.get(name) ?? new Map())) {
              assert.equal(mode, "PERMISSIVE", `${name} takes plaintext`);
              counts.opened++;
            }
            if (/^(plain|disabled)/.test(now)) counts.heldTo++;
          } else if (now === "allowed" && !isMutual(held)) counts.allowed++;
          // Told so now: what one holds that is not there says nothing of a mesh that has been allowed plaintext meanwhile.
          if (isMutual(held) && held !== before.get(name)) hadMtls.add(name);
        }
      }
    }),
    { numRuns: histories },
  );
  // The histories are not empty ones: a mesh that goes from strict to permissive is the rarest, in one history of twenty.
  for (const [what, count] of Object.entries(counts)) assert.ok(count > 0, `${what}: ${count}`);
});

test("of real Envoys: permissive takes both; a mesh without mTLS, from whomever, takes plaintext only with the label", async (t) => {
  const own = await lab(t);
  const stage = await oneZone(own);
  const { zone, frontend } = stage;
  const server = await stage.addBackend("backend-1", "127.0.0.2");
  const direct = `http://${server.address}:${server.port}/`;
  const hello = "GET / HTTP/1.1\r\nhost: backend\r\nconnection: close\r\n\r\n";
  await eventually("a first answer", 20_000, async () => assert.equal((await get(stage.url)).status, 200));
  const certificate = await clientCertificate(own, "default", authorityOf("default", zone));
  const takesPlaintext = async (): Promise<boolean> => (await get(direct).catch(() => undefined))?.status === 200;
  const takesMtls = async (): Promise<boolean> =>
    /HTTP\/1\.1 200/.test(
      await handshake({ host: server.address, port: server.port }, [...certificate, "-quiet"], hello),
    );
  const becomes = (what: string, plaintext: boolean, mtls: boolean) =>
    eventually(what, 20_000, async () => {
      assert.deepEqual({ plaintext: await takesPlaintext(), mtls: await takesMtls() }, { plaintext, mtls });
      assert.equal((await get(stage.url)).status, 200);
    });
  const spec = (modeIs: string) => ({
    ...mesh("default"),
    mtls: { enabledBackend: "ca-1", backends: [backend("ca-1", modeIs)] },
  });
  await becomes("strict", false, true);
  await put(zone.api, "/meshes/default", spec("PERMISSIVE"));
  await becomes("permissive", true, true);
  await put(zone.api, "/meshes/default", spec("STRICT"));
  await becomes("strict again", false, true);

  const plain = { type: "Mesh", name: "default", skipCreatingInitialPolicies: ["*"] };
  await assert.rejects(put(zone.api, "/meshes/default", plain), /kodiak.io\/allow-plaintext: \\?"yes\\?"/);

  // As from a stock global, which asks for no label. That it has been acted on is seen by a policy of the same commit.
  let timeout = 7;
  const write = async (what: string, ...edits: Edit[]) => {
    timeout++;
    const policy = stored("MeshTimeout", "default", "mesh-timeout-all-default", {
      to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: `${timeout}s` } }],
    });
    await zone.store.write([...edits, { kind: "put", resource: policy }]);
    await eventually(what, 20_000, async () =>
      assert.match(
        await frontend.admin("/config_dump?resource=dynamic_active_clusters"),
        new RegExp(`"connect_timeout": "${timeout}s"`),
      ),
    );
    assert.deepEqual(
      { plaintext: await takesPlaintext(), mtls: await takesMtls() },
      { plaintext: false, mtls: true },
      what,
    );
    assert.equal((await get(stage.url)).status, 200, what);
  };
  const bare: Edit = { kind: "put", resource: stored("Mesh", "", "default", {}) };
  await write("a Mesh without mTLS", bare);
  await zone.store.write([{ kind: "delete", id: { kind: "Mesh", mesh: "", name: "default" } }]);
  await write("a Mesh that was deleted and made again", bare);
  assert.match(await frontend.admin("/config_dump?resource=dynamic_active_clusters"), /transport_sockets\.tls/);

  await put(zone.api, "/meshes/default", { ...plain, labels: { "kodiak.io/allow-plaintext": "yes" } });
  await becomes("plaintext, as it is allowed", true, false);
});
