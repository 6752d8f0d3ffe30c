// The policies that come with a mesh: made once, by the control plane that owns it, and users' business from then on.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { global } from "#global/global.ts";
import { loadOrCreateServerCertificate, serverNames } from "#identity/server-certificate.ts";
import { validateResource } from "#policies/kinds.ts";
import { kindNamed, kinds } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";
import { sqliteStore } from "#store/sqlite.ts";
import { type Lab, lab, put, startGlobal, startZone } from "../lab/lab.ts";

const policyKinds = new Set(kinds.filter(({ isPolicy }) => isPolicy).map(({ name }) => name));
const policiesIn = (store: Store, mesh: string): readonly Resource[] =>
  [...store.all()].filter((one) => one.mesh === mesh && policyKinds.has(one.kind));
const namesIn = (store: Store, mesh: string): readonly string[] =>
  policiesIn(store, mesh)
    .map(({ name }) => name)
    .sort();
const allOf = (mesh: string): readonly string[] => Object.keys(made).map((prefix) => `${prefix}-${mesh}`);

/** As Kuma 2.14.3 made them, by their names before the mesh's (interop 11.4); it allows three retries at a time. */
const tries = { numRetries: 5, perTryTimeout: "16s", backOff: { baseInterval: "25ms", maxInterval: "250ms" } };
const everything = { kind: "Mesh" };
const made = {
  "mesh-circuit-breaker-all": {
    targetRef: everything,
    to: [
      {
        targetRef: everything,
        default: {
          connectionLimits: { maxConnections: 1024, maxPendingRequests: 1024, maxRetries: 1024, maxRequests: 1024 },
        },
      },
    ],
  },
  "mesh-gateways-timeout-all": {
    targetRef: { kind: "Mesh", proxyTypes: ["Gateway"] },
    to: [{ targetRef: everything, default: { idleTimeout: "1h0m0s", http: { streamIdleTimeout: "5s" } } }],
    from: [
      {
        targetRef: everything,
        default: { idleTimeout: "5m0s", http: { streamIdleTimeout: "5s", requestHeadersTimeout: "500ms" } },
      },
    ],
  },
  "mesh-retry-all": {
    targetRef: everything,
    to: [{ targetRef: everything, default: { tcp: { maxConnectAttempt: 5 }, http: tries, grpc: tries } }],
  },
  "mesh-timeout-all": {
    targetRef: { kind: "Mesh", proxyTypes: ["Sidecar"] },
    to: [
      {
        targetRef: everything,
        default: {
          ...{ connectionTimeout: "5s", idleTimeout: "1h0m0s" },
          http: { requestTimeout: "15s", streamIdleTimeout: "30m0s" },
        },
      },
    ],
    from: [
      {
        targetRef: everything,
        default: {
          ...{ connectionTimeout: "10s", idleTimeout: "2h0m0s" },
          http: { requestTimeout: "0s", streamIdleTimeout: "1h0m0s", maxStreamDuration: "0s" },
        },
      },
    ],
  },
};

/** Resolves after the first commit with which the mesh has so many policies. */
function hasPolicies(store: Store, mesh: string, count: number): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (policiesIn(store, mesh).length !== count) return;
      unwatch();
      resolve();
    };
    const unwatch = store.watch(check);
    check();
  });
}

const remove = async (api: string, path: string): Promise<void> => {
  const response = await fetch(api + path, { method: "DELETE" });
  assert.equal(response.status, 200, await response.text());
};

/** A global control plane on a file, which stays when it ends. */
async function globalOnFile(own: Lab, folder: string) {
  const { clock, random } = own.world;
  const store = sqliteStore(folder, clock, random);
  const certificate = await loadOrCreateServerCertificate(folder, serverNames([]), clock.now());
  const ports = { kdsPort: 0, dpPort: 0, apiPort: 0, apiHttpsPort: 0 };
  const settings = {
    store,
    certificate,
    address: "127.0.0.1",
    ...ports,
    unauthenticatedZones: [],
    exportKeysTo: [],
    version: "test",
    shown: {},
  };
  const running = await global(settings, own.world);
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= running.close();
    return closed;
  };
  own.atEnd(close);
  return { store, api: `http://127.0.0.1:${running.apiPort}`, close };
}

test("a global control plane makes them with each mesh, once", async (t) => {
  const own = await lab(t);
  const folder = join(own.folder, "global-on-file");
  const first = await globalOnFile(own, folder);

  await t.test("with the mesh that comes with the first start", async () => {
    await hasPolicies(first.store, "default", 4);
    const specs = policiesIn(first.store, "default").map(({ name, spec }) => [name.replace(/-default$/, ""), spec]);
    assert.deepEqual(Object.fromEntries(specs), made);
    for (const policy of policiesIn(first.store, "default")) {
      assert.deepEqual(validateResource(kindNamed(policy.kind), policy), []);
      assert.deepEqual(policy.labels, { "kuma.io/mesh": "default" });
    }
  });

  await t.test("but for the kinds that the mesh says to leave out", async () => {
    await put(first.api, "/meshes/none", { type: "Mesh", name: "none", skipCreatingInitialPolicies: ["*"] });
    await put(first.api, "/meshes/some", { type: "Mesh", name: "some", skipCreatingInitialPolicies: ["MeshTimeout"] });
    await hasPolicies(first.store, "some", 2);
    assert.deepEqual(namesIn(first.store, "some"), ["mesh-circuit-breaker-all-some", "mesh-retry-all-some"]);
    assert.deepEqual(namesIn(first.store, "none"), []);
  });

  await t.test("none that was deleted or changed comes back, not after a restart either", async () => {
    await remove(first.api, "/meshes/default/meshretries/mesh-retry-all-default");
    const spec = { to: [{ targetRef: { kind: "Mesh" }, default: { idleTimeout: "1m" } }] };
    const id = { type: "MeshTimeout", mesh: "default", name: "mesh-timeout-all-default" };
    await put(first.api, `/meshes/default/meshtimeouts/${id.name}`, { ...id, spec });
    await put(first.api, "/meshes/none", { type: "Mesh", name: "none" });
    await first.close();
    const second = await globalOnFile(own, folder);
    // Meshes get theirs in one go, so that this one has them says that the others would, too.
    await put(second.api, "/meshes/later", { type: "Mesh", name: "later" });
    await hasPolicies(second.store, "later", 4);
    assert.deepEqual(
      namesIn(second.store, "default"),
      allOf("default").filter((name) => name !== "mesh-retry-all-default"),
    );
    assert.deepEqual(second.store.get({ kind: id.type, mesh: id.mesh, name: id.name })?.spec, spec);
    assert.deepEqual(namesIn(second.store, "none"), []);

    await remove(second.api, "/meshes/later");
    await put(second.api, "/meshes/later", { type: "Mesh", name: "later" });
    await hasPolicies(second.store, "later", 4);
  });
});

test("a zone that stands alone makes them as its own; one that belongs to a global has those of global and no others", async (t) => {
  const own = await lab(t);
  const alone = await startZone(own, "alone");
  await hasPolicies(alone.store, "default", 4);
  assert.deepEqual(namesIn(alone.store, "default"), allOf("default"));
  for (const { labels } of policiesIn(alone.store, "default"))
    assert.deepEqual(labels, {
      "kuma.io/mesh": "default",
      "kuma.io/origin": "zone",
      "kuma.io/zone": "alone",
      "kuma.io/env": "universal",
    });

  const above = await startGlobal(own);
  const member = await startZone(own, "member", above);
  await hasPolicies(member.store, "default", 4);
  for (const { labels } of policiesIn(member.store, "default")) assert.equal(labels["kuma.io/origin"], "global");
  // Whatever follows from the mesh in a zone follows in the turn in which it comes.
  await put(above.api, "/meshes/later", { type: "Mesh", name: "later", skipCreatingInitialPolicies: ["*"] });
  await put(above.api, "/meshes/after", { type: "Mesh", name: "after" });
  await hasPolicies(member.store, "after", 4);
  assert.deepEqual(namesIn(member.store, "later"), []);
});
