import assert from "node:assert/strict";
import { test } from "node:test";
import type { Source } from "#incremental/collection.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import { defaultGenerators } from "#owned/default-generators.ts";
import { hostnames, type NamedKind } from "#owned/hostnames.ts";
import { wantedVips } from "#owned/names.ts";
import { vipsOf } from "#owned/vips.ts";
import { validateResource } from "#policies/kinds.ts";
import { kindNamed, kinds } from "#resources/kinds.ts";
import { keyOf, type Labels, type Resource } from "#resources/resource.ts";
import { tableConfig, tableIn, tableText } from "#topology/vips.ts";

const at = (second: number): string => `2026-01-01T00:00:${String(second).padStart(2, "0")}Z`;

function stage() {
  const graph = incrementalGraph();
  const sources = new Map<string, Source<Resource>>(kinds.map(({ name }) => [name, graph.source<Resource>(name)]));
  const of = (kind: string) => sources.get(kind) as never;
  const vips = wantedVips(graph, of);
  const named = hostnames(graph, of, "zone-a");
  let seconds = 0;
  const put = (resource: Resource): void => sources.get(resource.kind)?.set(keyOf(resource), resource);
  return {
    graph,
    put,
    make(kind: string, name: string, labels: Labels, spec: JsonObject = {}, mesh = "default") {
      const time = at(seconds++);
      const times = { creationTime: time, modificationTime: time };
      put({ kind, mesh: kind === "HostnameGenerator" || kind === "Mesh" ? "" : mesh, name, labels, spec, ...times });
    },
    remove: (kind: string, name: string) =>
      sources.get(kind)?.set(kind === "HostnameGenerator" ? name : `default/${name}`, undefined),
    /** As the writers do it, until nothing is left to write. */
    write() {
      for (let round = 0; round < 5; round++) {
        graph.settle();
        const want = vips.get("default");
        const before = tableIn((sources.get("Config")?.get(tableConfig("default"))?.spec.config ?? undefined) as never);
        if (want) {
          const config = tableText(vipsOf({ ...want, mesh: "default", before, now: 0 }));
          const times = { creationTime: at(0), modificationTime: at(0) };
          put({ kind: "Config", mesh: "", name: tableConfig("default"), labels: {}, spec: { config }, ...times });
        }
        const wanted = named.flatMap((one) => [...one.keys()].flatMap((key) => one.get(key) ?? []));
        if (wanted.length === 0 && round > 0) return;
        wanted.forEach(put);
      }
      graph.settle();
      assert.fail("what is written makes something else wanted, for ever");
    },
    status: (kind: NamedKind, name: string): JsonObject => sources.get(kind)?.get(`default/${name}`)?.status ?? {},
  };
}

const namesIn = ({ addresses }: JsonObject): readonly unknown[] =>
  (Array.isArray(addresses) ? addresses : []).map((one) => isObject(one) && one.hostname);
const reasonsIn = ({ hostnameGenerators }: JsonObject): readonly string[] =>
  (Array.isArray(hostnameGenerators) ? hostnameGenerators : []).map((one) => {
    const [condition] = isObject(one) && Array.isArray(one.conditions) ? one.conditions : [];
    return isObject(condition) ? `${condition.status} ${condition.reason}` : "";
  });

const external = { match: { port: 9000 }, endpoints: [{ address: "192.0.2.1", port: 443 }] };
const generator = (template: string, matchLabels = {}): JsonObject => ({
  ...{ template, selector: { meshExternalService: { matchLabels }, meshService: { matchLabels } } },
});

test("generators that come with a control plane give names, and the status is Kuma's", () => {
  const { make, put, write, status } = stage();
  make("Mesh", "default", {});
  const synced = defaultGenerators({ kind: "global" }).map((one) => ({
    ...one,
    labels: { "kuma.io/origin": "global" },
  }));
  const local = defaultGenerators({ kind: "zone", zone: "zone-a", isFederated: true });
  for (const one of [...synced, ...local]) {
    assert.deepEqual(validateResource(kindNamed("HostnameGenerator"), one), []);
    put(one);
  }
  make("MeshExternalService", "mes", { "kuma.io/origin": "global" }, external);
  make("MeshExternalService", "own", { "kuma.io/origin": "zone", "kuma.io/zone": "zone-a" }, external);
  make("MeshService", "backend", { "kuma.io/origin": "zone", "kuma.io/env": "universal", "kuma.io/zone": "zone-a" });
  const remote = { "kuma.io/origin": "global", "kuma.io/zone": "zone-b", "kuma.io/env": "universal" };
  make("MeshService", "backend-x", { ...remote, "kuma.io/display-name": "backend" });
  make("MeshMultiZoneService", "all", { "kuma.io/origin": "global" });
  write();
  const { vip, ...rest } = status("MeshExternalService", "mes");
  assert.match(isObject(vip) ? String(vip.ip) : "", /^242\./);
  const ref = { hostnameGeneratorRef: { coreName: "synced-mesh-external-service" } };
  assert.deepEqual(rest, {
    addresses: [{ hostname: "mes.extsvc.mesh.local", origin: "HostnameGenerator", ...ref }],
    hostnameGenerators: [
      { ...ref, conditions: [{ type: "Generated", status: "True", reason: "Generated", message: "" }] },
    ],
  });
  assert.deepEqual(namesIn(status("MeshExternalService", "own")), ["own.extsvc.mesh.local"]);
  assert.deepEqual(namesIn(status("MeshService", "backend")), ["backend.svc.mesh.local"]);
  assert.deepEqual(namesIn(status("MeshService", "backend-x")), ["backend.svc.zone-b.mesh.local"]);
  assert.deepEqual(namesIn(status("MeshMultiZoneService", "all")), ["all.mzsvc.mesh.local"]);
});

test("a name is the first one's: a zone's own generator, then the older one, then the older service", () => {
  const { make, remove, write, status } = stage();
  make("HostnameGenerator", "of-global", { "kuma.io/origin": "global" }, generator("same.local"));
  make("HostnameGenerator", "of-zone", { "kuma.io/origin": "zone" }, generator("same.local", { team: "b" }));
  make("MeshExternalService", "a", { team: "a" }, external);
  make("MeshExternalService", "b", { team: "b" }, external);
  make("MeshService", "a", { team: "a" });
  write();
  assert.deepEqual(reasonsIn(status("MeshExternalService", "a")), ["False Collision"]);
  assert.deepEqual(reasonsIn(status("MeshExternalService", "b")), ["True Generated", "False Collision"]);
  assert.deepEqual(reasonsIn(status("MeshService", "a")), ["True Generated"], "another kind");
  remove("HostnameGenerator", "of-zone");
  write();
  assert.deepEqual(reasonsIn(status("MeshExternalService", "a")), ["True Generated"]);
  assert.deepEqual(reasonsIn(status("MeshExternalService", "b")), ["False Collision"]);
  remove("MeshExternalService", "a");
  write();
  assert.deepEqual(reasonsIn(status("MeshExternalService", "b")), ["True Generated"]);
  remove("HostnameGenerator", "of-global");
  write();
  assert.deepEqual(namesIn(status("MeshExternalService", "b")), []);
});

test("a template that makes no name says so, and what others say of the status stays", () => {
  const { make, put, write, status } = stage();
  make("HostnameGenerator", "racks", {}, generator('{{ label "rack" }}.local'));
  const times = { creationTime: at(1), modificationTime: at(1) };
  const vips = [{ ip: "241.0.0.1" }];
  put({ kind: "MeshService", mesh: "default", name: "db", labels: {}, spec: {}, status: { vips, tls: {} }, ...times });
  write();
  assert.deepEqual(reasonsIn(status("MeshService", "db")), ["False TemplateError"]);
  assert.deepEqual([status("MeshService", "db").vips, status("MeshService", "db").tls], [vips, {}]);
});

test("a new service makes no other's status anew", () => {
  const { make, write, graph } = stage();
  make("HostnameGenerator", "all", {}, generator("{{ .DisplayName }}.local"));
  for (let i = 0; i < 50; i++) make("MeshService", `s-${i}`, {});
  write();
  const counted = () => graph.counts.recomputed.get("MeshService with names") ?? 0;
  const before = counted();
  make("MeshService", "new", {});
  write();
  assert.ok(counted() - before <= 3, `${counted() - before} times`);
});
