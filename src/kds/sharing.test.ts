// One row a rule of interop 4.4, 4.5 and 4.6.

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { resourceIn } from "#discovery/frame.ts";
import type { Received } from "#discovery/receiver.ts";
import { certificateFor } from "#host/certificate-for-test.ts";
import { fromGlobal, fromZone, outcomeOf } from "#kds/accept.ts";
import { itemFor, type Outgoing } from "#kds/audience.ts";
import { decodeResource, encodeResource } from "#kds/codec.ts";
import { downward } from "#kds/down.ts";
import { wireNameOf } from "#kds/name.ts";
import { upward } from "#kds/up.ts";
import { features } from "#kds/wire.ts";
import type { JsonObject } from "#lib/json.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Labels, Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

interface Given {
  readonly kind: string;
  readonly name?: string;
  readonly labels?: Labels;
  readonly spec?: JsonObject;
  readonly status?: JsonObject;
}

const resource = ({ kind, name = "it", labels = {}, spec = {}, status }: Given): Resource => ({
  kind,
  mesh: kindNamed(kind).scope === "Mesh" ? "default" : "",
  name,
  labels,
  spec,
  ...(status && { status }),
  creationTime: zeroTime,
  modificationTime: zeroTime,
});

/** What is in an item. */
function contentOf(kind: string, outgoing: Outgoing | undefined): Resource | undefined {
  if (!outgoing) return undefined;
  const { resource: any } = resourceIn(outgoing.item) ?? {};
  const { resource: sent, issues } = decodeResource(kindNamed(kind), any!.value);
  assert.deepEqual(issues, []);
  assert.equal(outgoing.item.name, wireNameOf(sent));
  return sent;
}

const all = new Set<string>(features);
const without = (feature: string) => new Set([...all].filter((one) => one !== feature));
const everything = { disabled: [], drainedSince: () => undefined };
const ofZone = (zone: string, more: Labels = {}): Labels => ({
  "kuma.io/origin": "zone",
  "kuma.io/zone": zone,
  ...more,
});
const mesh = { targetRef: { kind: "Mesh" } };
const toBackend = { to: [{ targetRef: { kind: "MeshService", name: "backend" } }] };
const producer = (namespace: string, spec: JsonObject = toBackend): Given => ({
  kind: "MeshTimeout",
  labels: ofZone("zone-1", { "kuma.io/policy-role": "producer", "k8s.kuma.io/namespace": namespace }),
  spec,
});

describe("what a zone gets of global", () => {
  const rows: readonly (readonly [
    rule: string,
    given: Given,
    to: string,
    has: ReadonlySet<string>,
    isSent: boolean,
  ])[] = [
    ["1 held back by label", { kind: "Mesh", labels: { "kuma.io/kds-sync": "disabled" } }, "zone-1", all, false],
    ["1 let through by label", { kind: "Mesh", labels: { "kuma.io/kds-sync": "enabled" } }, "zone-1", all, true],
    ["2 the cluster's id", { kind: "Config", name: "kuma-cluster-id" }, "zone-1", all, true],
    ["2 another Config", { kind: "Config", name: "kuma-cp-leader" }, "zone-1", all, false],
    ["2 the table of names of a mesh", { kind: "Config", name: "kuma-default-dns-vips" }, "zone-1", all, false],
    ["2 exceptions of addresses, of ours", { kind: "Config", name: "kodiak-default-vips" }, "zone-1", all, true],
    [
      "2 … to a zone of a Kuma",
      { kind: "Config", name: "kodiak-default-vips" },
      "zone-1",
      without("kodiak-resume"),
      false,
    ],
    ["3 envoy-admin-ca", { kind: "GlobalSecret", name: "envoy-admin-ca" }, "zone-1", all, false],
    ["3 admin-user-token", { kind: "GlobalSecret", name: "admin-user-token" }, "zone-1", all, false],
    ["3 inter-cp-ca", { kind: "GlobalSecret", name: "inter-cp-ca" }, "zone-1", all, false],
    ["3 user-token-revocations", { kind: "GlobalSecret", name: "user-token-revocations" }, "zone-1", all, false],
    ["3 keys for user tokens", { kind: "GlobalSecret", name: "user-token-signing-key-2" }, "zone-1", all, false],
    ["3 zone-token-revocations", { kind: "GlobalSecret", name: "zone-token-revocations" }, "zone-1", all, true],
    ["3 a user's GlobalSecret", { kind: "GlobalSecret", name: "mine" }, "zone-1", all, true],
    [
      "3 a zone token key that is none",
      { kind: "GlobalSecret", name: "zone-token-signing-key-1" },
      "zone-1",
      all,
      false,
    ],
    ["4 global's, without origin", { kind: "MeshTimeout", spec: mesh }, "zone-1", all, true],
    [
      "4 global's, with origin",
      { kind: "MeshTimeout", spec: mesh, labels: { "kuma.io/origin": "global" } },
      "zone-1",
      all,
      true,
    ],
    ["4 a kind that global does not provide", { kind: "ZoneIngress" }, "zone-1", all, false],
    ["4 a policy without targetRef", { kind: "MeshTimeout" }, "zone-1", all, true],
    [
      "4 … to a zone that needs one",
      { kind: "MeshTimeout" },
      "zone-1",
      without("optional-top-level-target-ref"),
      false,
    ],
    [
      "4 … which gets those that have one",
      { kind: "MeshTimeout", spec: mesh },
      "zone-1",
      without("optional-top-level-target-ref"),
      true,
    ],
    [
      "4 … and other kinds",
      { kind: "MeshService", labels: ofZone("zone-2") },
      "zone-1",
      without("optional-top-level-target-ref"),
      true,
    ],
    ["5 an ingress of another zone", { kind: "ZoneIngress", labels: ofZone("zone-2") }, "zone-1", all, true],
    ["5 not back to where it comes from", { kind: "ZoneIngress", labels: ofZone("zone-1") }, "zone-1", all, false],
    [
      "5 the zone by the name",
      { kind: "ZoneIngress", name: "zone-1.it", labels: { "kuma.io/origin": "zone" } },
      "zone-1",
      all,
      false,
    ],
    [
      "5 a kind that is not shared between zones",
      { kind: "Dataplane", labels: ofZone("zone-2") },
      "zone-1",
      all,
      false,
    ],
    ["5 … though zones and global provide it", { kind: "MeshGateway", labels: ofZone("zone-2") }, "zone-1", all, false],
    ["5 a system policy", { kind: "MeshTimeout", labels: ofZone("zone-2"), spec: mesh }, "zone-1", all, false],
    ["5 a producer policy", producer("demo"), "zone-2", all, true],
    ["5 … not back", producer("demo"), "zone-1", all, false],
    ["5 … to a zone without them", producer("demo"), "zone-2", without("producer-policy-flow"), false],
    ["5 … that is none by its namespace", producer("kuma-system"), "zone-2", all, false],
    [
      "5 … by a service elsewhere",
      producer("demo", { to: [{ targetRef: { kind: "MeshService", name: "b", namespace: "other" } }] }),
      "zone-2",
      all,
      false,
    ],
    [
      "5 … by a nameless service",
      producer("demo", { to: [{ targetRef: { kind: "MeshService", labels: {} } }] }),
      "zone-2",
      all,
      false,
    ],
    ["5 … by having from", producer("demo", { ...toBackend, from: [{}] }), "zone-2", all, false],
    ["5 … by having no to", producer("demo", mesh), "zone-2", all, false],
    [
      "5 … for this zone's proxies",
      producer("demo", { ...toBackend, targetRef: { kind: "MeshSubset", tags: { "kuma.io/zone": "zone-2" } } }),
      "zone-2",
      all,
      true,
    ],
    [
      "5 … for another zone's proxies",
      producer("demo", { ...toBackend, targetRef: { kind: "MeshSubset", tags: { "kuma.io/zone": "zone-3" } } }),
      "zone-2",
      all,
      false,
    ],
    [
      "6 a HostnameGenerator",
      { kind: "HostnameGenerator", spec: { selector: { meshService: {} } } },
      "zone-1",
      without("hg-mz-selector"),
      true,
    ],
    [
      "6 … of multi-zone services",
      { kind: "HostnameGenerator", spec: { selector: { meshMultiZoneService: {} } } },
      "zone-1",
      all,
      true,
    ],
    [
      "6 … to a zone without them",
      { kind: "HostnameGenerator", spec: { selector: { meshMultiZoneService: {} } } },
      "zone-1",
      without("hg-mz-selector"),
      false,
    ],
  ];
  for (const [rule, given, zone, has, isSent] of rows) {
    it(`${rule}: ${isSent ? "sent" : "not sent"}`, () => {
      const outgoing = downward(kindNamed(given.kind), resource(given), everything);
      const item = outgoing && itemFor(outgoing, { zone, features: has, getsKeys: true });
      assert.equal(item !== undefined, isSent);
    });
  }

  it("5 nothing of a disabled zone is shared, and it gets nothing of others, but what is global's", () => {
    const toZones = (given: Given, disabled: readonly string[]) => {
      const outgoing = downward(kindNamed(given.kind), resource(given), { ...everything, disabled });
      return ["zone-1", "zone-2", "zone-3"].filter(
        (zone) => outgoing && itemFor(outgoing, { zone, features: all, getsKeys: true }),
      );
    };
    const ingress = { kind: "ZoneIngress", labels: ofZone("zone-2") };
    assert.deepEqual(toZones(ingress, []), ["zone-1", "zone-3"]);
    assert.deepEqual(toZones(ingress, ["zone-2"]), []);
    assert.deepEqual(toZones(ingress, ["zone-1"]), ["zone-3"]);
    assert.deepEqual(toZones(producer("demo"), ["zone-2"]), ["zone-3"]);
    assert.deepEqual(toZones({ kind: "MeshTimeout", spec: mesh }, ["zone-2"]), ["zone-1", "zone-2", "zone-3"]);
  });
});

describe("how global sends it", () => {
  const sent = (given: Given) => contentOf(given.kind, downward(kindNamed(given.kind), resource(given), everything))!;

  it("1 the origin is global, also of what a zone made; the zone stays", () => {
    const labels = { "kuma.io/origin": "global", "kuma.io/zone": "zone-2", "kuma.io/display-name": "it" };
    assert.deepEqual(sent({ kind: "ZoneIngress", labels: ofZone("zone-2") }).labels, labels);
  });
  it("an ingress of a drained zone says so", () => {
    const ingress = (zone: string) => {
      const given = { kind: "ZoneIngress", labels: ofZone(zone) };
      const drainedSince = (of: string) => (of === "zone-2" ? "1700000000000" : undefined);
      const outgoing = downward(kindNamed("ZoneIngress"), resource(given), { ...everything, drainedSince });
      return contentOf("ZoneIngress", outgoing)?.labels["kodiak.io/drained-since"];
    };
    assert.equal(ingress("zone-2"), "1700000000000");
    assert.equal(ingress("zone-3"), undefined);
  });
  it("private keys go only to zones that are given them", () => {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const data = Buffer.from(privateKey.export({ type: "pkcs1", format: "pem" })).toString("base64");
    const seen = (name: string, spec: Resource["spec"], getsKeys: boolean) => {
      const secret = { ...resource({ kind: "Secret", name, spec }), mesh: "default" };
      const outgoing = downward(kindNamed("Secret"), secret, everything);
      const item = outgoing && itemFor(outgoing, { zone: "a", features: all, getsKeys });
      return item && contentOf("Secret", { needs: [], item });
    };
    const signing = "dataplane-token-signing-key-default-1";
    assert.deepEqual(seen(signing, { data }, true)?.spec, { data });
    const known = seen(signing, { data }, false);
    const pem = Buffer.from(String(known?.spec.data), "base64").toString();
    assert.equal(pem, publicKey.export({ type: "pkcs1", format: "pem" }));
    assert.equal(known?.name, signing);
    assert.equal(seen(signing, { data: "bm8ga2V5" }, false), undefined);
    // Whether the Mesh names it, does so no more or not yet.
    assert.deepEqual(seen("ca-key", { data }, true)?.spec, { data });
    assert.equal(seen("ca-key", { data }, false), undefined);
    const forElliptic = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    const sec1 = Buffer.from(forElliptic.export({ type: "sec1", format: "pem" })).toString("base64");
    assert.equal(seen("ca-key", { data: sec1 }, false), undefined);
    assert.deepEqual(seen("ca-cert", { data: "bm8ga2V5" }, false)?.spec, { data: "bm8ga2V5" });
  });
  it("the key of a server's certificate goes with it to zones, whose gateways show it, and no authority's does", async () => {
    const passes = (...pem: string[]) => {
      const data = Buffer.from(pem.join("")).toString("base64");
      const secret = { ...resource({ kind: "Secret", name: "shop", spec: { data } }), mesh: "default" };
      const outgoing = downward(kindNamed("Secret"), secret, everything);
      const item = outgoing && itemFor(outgoing, { zone: "a", features: all, getsKeys: false });
      return item !== undefined;
    };
    const { certificate, privateKey, ca } = await certificateFor(["shop.example"]);
    const other = await certificateFor(["shop.example"]);
    assert.equal(passes(certificate, ca, privateKey), true);
    assert.equal(passes(privateKey, certificate), true);
    assert.equal(passes(ca, certificate, privateKey), false);
    assert.equal(passes(certificate, other.privateKey), false);
    assert.equal(passes(certificate, privateKey, other.privateKey), false);
    assert.equal(passes(privateKey), false);
  });
  it("3 of the key for zone tokens only the public half, under another name", () => {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pem = privateKey.export({ type: "pkcs1", format: "pem" });
    const data = Buffer.from(pem).toString("base64");
    const { name, labels, spec } = sent({ kind: "GlobalSecret", name: "zone-token-signing-key-1", spec: { data } });
    assert.equal(name, "zone-token-signing-public-key-1");
    assert.deepEqual(labels, { "kuma.io/origin": "global", "kuma.io/display-name": "zone-token-signing-key-1" });
    assert.equal(
      Buffer.from(String(spec.data), "base64").toString(),
      publicKey.export({ type: "pkcs1", format: "pem" }),
    );
  });
  it("5 the status is empty, not absent", () => {
    const status = { vips: [{ ip: "241.0.0.1" }] };
    assert.deepEqual(sent({ kind: "MeshService", labels: ofZone("zone-2"), status }).status, {
      tls: {},
      dataplaneProxies: {},
    });
    assert.deepEqual(sent({ kind: "MeshMultiZoneService", status }).status, {});
    assert.equal(sent({ kind: "MeshTimeout", spec: mesh }).status, undefined);
  });
  it("6 names are hashed, with the zone and namespace that made it", () => {
    assert.equal(sent({ kind: "MeshTimeout", name: "t", spec: mesh }).name, "t-fdz944892fv4vfc2");
    const labels = ofZone("zone-2", { "kuma.io/display-name": "ingress-2" });
    assert.equal(
      sent({ kind: "ZoneIngress", name: "ingress-2-8b4xzbx26wc82zz2", labels }).name,
      "ingress-2-8b4xzbx26wc82zz2",
    );
  });
  for (const kind of ["Mesh", "Secret", "GlobalSecret"]) {
    it(`6 a ${kind} keeps its name, and gets no display name`, () => {
      assert.equal(sent({ kind }).name, "it");
      assert.deepEqual(sent({ kind }).labels, { "kuma.io/origin": "global" });
    });
  }
});

describe("what a zone sends", () => {
  const rows: readonly (readonly [what: string, given: Given, isSent: boolean])[] = [
    ["what is held back by label", { kind: "Dataplane", labels: { "kuma.io/kds-sync": "disabled" } }, false],
    ["what says nothing of its origin", { kind: "ZoneIngress" }, true],
    ["what the zone made", { kind: "MeshTimeout", labels: { "kuma.io/origin": "zone" } }, true],
    ["what came from global", { kind: "MeshTimeout", labels: { "kuma.io/origin": "global" } }, false],
    [
      "an ingress of another zone",
      { kind: "ZoneIngress", labels: { "kuma.io/origin": "global", "kuma.io/zone": "zone-2" } },
      false,
    ],
    ["a kind that goes down only", { kind: "Secret" }, false],
  ];
  for (const [what, given, isSent] of rows) {
    it(`${what}: ${isSent ? "sent" : "not sent"}`, () =>
      assert.equal(upward(kindNamed(given.kind), resource(given), "zone-1") !== undefined, isSent));
  }

  const sent = (given: Given) => contentOf(given.kind, upward(kindNamed(given.kind), resource(given), "zone-1"))!;
  it("1 labels say whose it is; marks of deletion stay", () => {
    const labels = { team: "a", "kuma.io/deletion-grace-period-started-at": "2026-01-01T00:00:00Z" };
    const own = { team: "a", "kuma.io/display-name": "it", "kuma.io/origin": "zone", "kuma.io/zone": "zone-1" };
    assert.deepEqual(sent({ kind: "MeshService", labels }).labels, own);
  });
  it("2 subscriptions without their generation", () => {
    const spec = { subscriptions: [{ id: "1", generation: 7 }] };
    assert.deepEqual(sent({ kind: "DataplaneInsight", spec }).spec, { subscriptions: [{ id: "1" }] });
  });
  it("4 every name is hashed with the zone", () => {
    assert.equal(sent({ kind: "MeshTimeout", name: "local" }).name, "local-x7bv5zcxb875cbfz");
    assert.equal(sent({ kind: "ZoneIngress", name: "ingress-1" }).name, "ingress-1-d42xfc5b76vxd222");
  });
  it("the status goes up, empty where there is none yet", () => {
    assert.deepEqual(sent({ kind: "MeshService", status: { vips: [] } }).status, { vips: [] });
    assert.deepEqual(sent({ kind: "MeshService" }).status, { tls: {}, dataplaneProxies: {} });
  });
});

/** A store's content, as far as `outcomeOf` reads it. */
const holding = (stored: readonly Resource[]) => ({
  get: ({ kind, name }: { kind: string; name: string }) => stored.find((one) => one.kind === kind && one.name === name),
  list: (kind: string) => stored.filter((one) => one.kind === kind),
});
const received = (given: Given, amend?: Parameters<typeof decodeResource>[2]): Received<Resource> => {
  const kind = kindNamed(given.kind);
  const { resource: read, issues } = decodeResource(kind, encodeResource(kind, resource(given)), amend);
  return { name: wireNameOf(read), resource: read, issues };
};
interface Arrival {
  readonly kind: string;
  readonly upsert?: readonly Given[];
  readonly remove?: readonly string[];
  readonly isInitial?: boolean;
  readonly skipped?: readonly string[];
  readonly stored?: readonly Given[];
}
function outcome(side: ReturnType<typeof fromZone>, arrival: Arrival) {
  const { kind, upsert = [], remove = [], isInitial = false, skipped = [], stored = [] } = arrival;
  const absent = isInitial ? ("rest" as const) : [];
  const apply = { isInitial, upsert: upsert.map((given) => received(given, side.amend)), remove, absent, skipped };
  return outcomeOf(kindNamed(kind), apply, side, holding(stored.map(resource)));
}
const summary = ({ edits, conflicts }: ReturnType<typeof outcome>): readonly string[] => [
  ...edits.map((edit) => (edit.kind === "put" ? `put ${edit.resource.name}` : `delete ${edit.id.name}`)),
  ...conflicts.values(),
];

describe("what global makes of what a zone sends", () => {
  const side = fromZone("zone-1");
  const put = (given: Given): Resource => {
    const [edit] = outcome(side, { kind: given.kind, upsert: [given] }).edits;
    assert.ok(edit?.kind === "put");
    return edit.resource;
  };
  const other = { "kuma.io/zone": "zone-9" };
  it("says whose it is where that is not said", () => {
    assert.deepEqual(put({ kind: "ZoneIngress" }).spec, { zone: "zone-1" });
    assert.deepEqual(put({ kind: "ZoneEgress" }).spec, { zone: "zone-1" });
    const labels = { team: "a", "kuma.io/origin": "global" };
    assert.deepEqual(put({ kind: "MeshTimeout", labels }).labels, { ...labels, ...ofZone("zone-1") });
  });
  const claims: readonly (readonly [path: string, given: Given])[] = [
    ['labels["kuma.io/zone"]', { kind: "MeshTimeout", labels: other }],
    ['labels["kuma.io/zone"]', { kind: "DataplaneInsight", labels: other }],
    ["zone", { kind: "ZoneIngress", spec: { zone: "zone-9" } }],
    [
      'availableServices[1].tags["kuma.io/zone"]',
      { kind: "ZoneIngress", spec: { availableServices: [{ tags: { a: "b" } }, { tags: other }] } },
    ],
    ["zone", { kind: "ZoneEgress", spec: { zone: "zone-9" } }],
    [
      'networking.inbound[0].tags["kuma.io/zone"]',
      { kind: "Dataplane", spec: { networking: { inbound: [{ tags: other }, { tags: { a: "b" } }] } } },
    ],
    [
      'networking.gateway.tags["kuma.io/zone"]',
      { kind: "Dataplane", spec: { networking: { gateway: { tags: other } } } },
    ],
  ];
  for (const [path, given] of claims)
    it(`refuses a ${given.kind} that names another zone at ${path}`, () => {
      const issues = side.foreign(received(given, side.amend).resource);
      assert.deepEqual(issues, [{ path, message: 'names zone "zone-9", but zone "zone-1" sent it' }]);
      assert.deepEqual(fromZone("zone-9").foreign(received(given).resource), []);
    });
  it("takes the status", () => {
    assert.deepEqual(put({ kind: "MeshService", status: { vips: [] } }).status, { vips: [] });
    const stored: Given = { kind: "MeshService", labels: ofZone("zone-1"), status: { vips: [] } };
    const changed = outcome(side, {
      kind: "MeshService",
      upsert: [{ kind: "MeshService", status: {} }],
      stored: [stored],
    });
    assert.deepEqual(summary(changed), ["put it"]);
  });

  const own: Given = { kind: "MeshTimeout", name: "own", labels: ofZone("zone-1") };
  const others: Given = { kind: "MeshTimeout", name: "others", labels: ofZone("zone-2") };
  const globals: Given = { kind: "MeshTimeout", name: "globals" };
  const stored = [own, others, globals];
  const kind = "MeshTimeout";
  const rows: readonly (readonly [what: string, arrival: Arrival, edits: readonly string[]])[] = [
    ["what is equal makes no edit", { kind, upsert: [own], stored }, []],
    ["… nor in an initial response", { kind, upsert: [own], stored, isInitial: true }, []],
    ["a change is put", { kind, upsert: [{ ...own, spec: mesh }], stored }, ["put own"]],
    ["a removal deletes", { kind, remove: ["own.default"], stored }, ["delete own"]],
    ["a removal of another zone's is ignored", { kind, remove: ["others.default"], stored }, []],
    ["a removal of global's is ignored", { kind, remove: ["globals.default"], stored }, []],
    ["a removal of nothing is ignored", { kind, remove: ["none.default"], stored }, []],
    ["an initial response is all that the zone has", { kind, isInitial: true, stored }, ["delete own"]],
    ["… but what was invalid in it stays", { kind, isInitial: true, skipped: ["own.default"], stored }, []],
    ["a later one is not", { kind, stored }, []],
    [
      "another zone's is not overwritten",
      { kind, upsert: [{ ...others, spec: mesh }], stored },
      ['user error\nresource already exists: type="MeshTimeout" name="others" mesh="default"'],
    ],
    [
      "nor global's",
      { kind, upsert: [globals], stored },
      ['user error\nresource already exists: type="MeshTimeout" name="globals" mesh="default"'],
    ],
    ["what came twice counts once", { kind, upsert: [own, { ...own, spec: mesh }], stored }, ["put own"]],
    [
      "a name that begins with the zone is its own",
      { kind, isInitial: true, stored: [{ kind, name: "zone-1.x" }] },
      ["delete zone-1.x"],
    ],
  ];
  for (const [what, arrival, edits] of rows) it(what, () => assert.deepEqual(summary(outcome(side, arrival)), edits));
});

describe("what a zone makes of what global sends", () => {
  const globals = { "kuma.io/origin": "global" };
  const zones = { "kuma.io/origin": "zone" };
  const rows: readonly (readonly [what: string, arrival: Arrival, edits: readonly string[]])[] = [
    ["a kind that only global makes needs no label", { kind: "Mesh", upsert: [{ kind: "Mesh" }] }, ["put it"]],
    [
      "… and takes the place of a local one",
      { kind: "Mesh", upsert: [{ kind: "Mesh", labels: globals }], stored: [{ kind: "Mesh" }] },
      ["put it"],
    ],
    ["… which goes if global has none", { kind: "Mesh", isInitial: true, stored: [{ kind: "Mesh" }] }, ["delete it"]],
    [
      "a kind that zones make, too, with origin global",
      { kind: "MeshTimeout", upsert: [{ kind: "MeshTimeout", labels: globals }] },
      ["put it"],
    ],
    ["… without it is left out", { kind: "MeshTimeout", upsert: [{ kind: "MeshTimeout" }] }, []],
    [
      "… of another zone",
      { kind: "ZoneIngress", upsert: [{ kind: "ZoneIngress", labels: { ...globals, "kuma.io/zone": "zone-2" } }] },
      ["put it"],
    ],
    [
      "what is global's goes when global has none",
      { kind: "MeshTimeout", isInitial: true, stored: [{ kind: "MeshTimeout", labels: globals }] },
      ["delete it"],
    ],
    [
      "what is the zone's stays",
      { kind: "MeshTimeout", isInitial: true, stored: [{ kind: "MeshTimeout", labels: zones }] },
      [],
    ],
    [
      "what says nothing is the zone's",
      { kind: "ZoneIngress", isInitial: true, stored: [{ kind: "ZoneIngress" }] },
      [],
    ],
    ["… a local Secret, too", { kind: "Secret", isInitial: true, stored: [{ kind: "Secret" }] }, []],
    [
      "of a local Secret and global's the local one wins",
      { kind: "Secret", upsert: [{ kind: "Secret", labels: globals }], stored: [{ kind: "Secret" }] },
      ['user error\nresource already exists: type="Secret" name="it" mesh="default"'],
    ],
    [
      "a removal of the zone's is ignored",
      { kind: "MeshTimeout", remove: ["it.default"], stored: [{ kind: "MeshTimeout", labels: zones }] },
      [],
    ],
    [
      "a removed Mesh takes nothing with it",
      {
        kind: "Mesh",
        remove: ["default."],
        stored: [
          { kind: "Mesh", name: "default" },
          { kind: "MeshTimeout", labels: globals },
        ],
      },
      ["delete default"],
    ],
    [
      "a status is computed here",
      {
        kind: "MeshService",
        upsert: [{ kind: "MeshService", labels: globals, status: {} }],
        stored: [{ kind: "MeshService", labels: globals, status: { vips: [] } }],
      },
      [],
    ],
  ];
  for (const [what, arrival, edits] of rows)
    it(what, () => assert.deepEqual(summary(outcome(fromGlobal, arrival)), edits));

  it("a change keeps the status that is stored", () => {
    const upsert: Given[] = [{ kind: "MeshService", labels: globals, spec: { ports: [] }, status: {} }];
    const stored: Given[] = [{ kind: "MeshService", labels: globals, status: { vips: [] } }];
    const [edit] = outcome(fromGlobal, { kind: "MeshService", upsert, stored }).edits;
    assert.ok(edit?.kind === "put");
    assert.deepEqual(edit.resource.status, { vips: [] });
  });
});
