// P8: a zone writes only what is its own; a forged write is refused and recorded. By a zone made by hand, against a real global.

import assert from "node:assert/strict";
import { test } from "node:test";
import { served } from "#cli/cli.fixture.ts";
import { encodeResource } from "#kds/codec.ts";
import { wireNameOf } from "#kds/name.ts";
import type { JsonObject } from "#lib/json.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Labels, Resource } from "#resources/resource.ts";
import { resource, startGlobal, type TestGlobal } from "../kds/control-planes.ts";
import { handMadeZone } from "./hand-made-zone.ts";

const wire = (one: Resource) => ({ name: wireNameOf(one), value: encodeResource(kindNamed(one.kind), one) });
const inbound = (tags: Readonly<Record<string, string>> = {}) => ({
  networking: { address: "127.0.0.2", inbound: [{ port: 80, tags: { "kuma.io/service": "backend", ...tags } }] },
});
const dataplane = (name: string, spec: JsonObject = inbound(), labels: Labels = {}) =>
  resource("Dataplane", name, spec, labels);
/** What the audit log has of refusals. */
const recorded = ({ refused }: Pick<TestGlobal, "refused">): readonly string[] =>
  refused.map(({ who, verb, what, why }) => {
    const { kind, mesh = "", name } = what;
    return `${"zone" in who && who.zone} ${verb}s ${kind}${name === undefined ? "" : ` ${mesh}/${name}`}: ${why}`;
  });
const of = (zone: string) => ({ "kuma.io/zone": zone });

test("what names another zone is refused and recorded, what names none is stamped, and the rest goes on", async (t) => {
  const global = await startGlobal(t);
  const b = handMadeZone(t, global, "b");
  assert.equal(await b.send("Dataplane", [wire(dataplane("of-b"))]), "");
  const before = await global.has("Dataplane", "of-b");

  const a = handMadeZone(t, global, "a");
  const refusal = await a.send("Dataplane", [
    wire(dataplane("silent")),
    wire(dataplane("honest", inbound(of("a")), of("a"))),
    wire(dataplane("by-label", inbound(), of("b"))),
    wire(dataplane("by-tag", inbound(of("b")))),
    wire(dataplane("of-b", inbound({ stolen: "yes" }))),
  ]);
  assert.equal(
    refusal,
    [
      'labels["kuma.io/zone"]: names zone "b", but zone "a" sent it',
      'networking.inbound[0].tags["kuma.io/zone"]: names zone "b", but zone "a" sent it',
      'user error\nresource already exists: type="Dataplane" name="of-b" mesh="default"',
    ].join("\n"),
  );
  assert.deepEqual(
    global.store
      .list("Dataplane")
      .map(({ name }) => name)
      .sort(),
    ["honest", "of-b", "silent"],
  );
  assert.deepEqual(await global.has("Dataplane", "of-b"), before);
  for (const name of ["silent", "honest"])
    assert.equal((await global.has("Dataplane", name)).labels["kuma.io/zone"], "a", name);

  const ingress = (name: string, zone: string) => resource("ZoneIngress", name, { zone });
  assert.match(
    await a.send("ZoneIngress", [wire(ingress("in", "")), wire(ingress("in-b", "b"))]),
    /^zone: names zone "b"/,
  );
  assert.equal((await global.has("ZoneIngress", "in")).spec.zone, "a");

  assert.deepEqual(recorded(global), [
    'a writes Dataplane default/by-label: labels["kuma.io/zone"]: names zone "b", but zone "a" sent it',
    'a writes Dataplane default/by-tag: networking.inbound[0].tags["kuma.io/zone"]: names zone "b", but zone "a" sent it',
    'a writes Dataplane default/of-b: user error resource already exists: type="Dataplane" name="of-b" mesh="default"',
    'a writes ZoneIngress /in-b: zone: names zone "b", but zone "a" sent it',
  ]);
  for (const { from } of global.refused) assert.match(from, /^127\.0\.0\.1:\d+$/);

  const { run } = await served(t, { links: global.server.links });
  const { out } = await run(["get", "zones"]);
  assert.match(out, /^NAME +STATUS +REFUSED$/m);
  assert.match(out, /^a +\S.* 4$/m);
  assert.match(out, /^b +\S.* -$/m);
  assert.match(out, /^a: 4 refused/m);
  assert.match(
    out,
    /^ {2}Dataplane "by-label" in mesh "default" from a for \d+s: labels\["kuma.io\/zone"\]: names zone "b"/m,
  );
  assert.match(out, /^ {2}Dataplane "of-b" in mesh "default" from a for \d+s: user error resource already exists/m);
  assert.match(out, /^ {2}ZoneIngress "in-b" from a for/m);

  assert.equal(await a.send("Dataplane", [wire(dataplane("by-label")), wire(dataplane("by-tag"))]), "");
  assert.equal(global.server.links.list().find(({ peer }) => peer === "a")?.refused.length, 2, "mended is forgotten");
});

test("the audit log hears once of what is sent again and again, and again of what was mended and is tried again", async (t) => {
  const global = await startGlobal(t);
  const forged = wire(dataplane("x", inbound(), of("b")));
  const last = 'names zone "b", but zone "a" sent it';
  const line = `a writes Dataplane default/x: labels["kuma.io/zone"]: ${last}`;
  const a = handMadeZone(t, global, "a");
  for (let times = 0; times < 100; times++) assert.notEqual(await a.send("Dataplane", [forged]), "");
  assert.deepEqual(recorded(global), [line]);
  a.close();
  const again = handMadeZone(t, global, "a");
  assert.notEqual(await again.send("Dataplane", [forged]), "");
  assert.deepEqual(recorded(global), [line]);
  assert.equal(await again.send("Dataplane", [wire(dataplane("x"))]), "");
  assert.notEqual(await again.send("Dataplane", [forged]), "");
  assert.deepEqual(recorded(global), [line, line]);
});

test("what is global's stays, whatever a zone writes over it, removes, or was not asked for", async (t) => {
  const global = await startGlobal(t);
  await global.put(resource("MeshTimeout", "of-global", { to: [] }, { "kuma.io/origin": "global" }));
  await global.put(resource("ZoneIngress", "of-b", { zone: "b" }, of("b")));
  const before = [await global.has("MeshTimeout", "of-global"), await global.has("ZoneIngress", "of-b")];
  const a = handMadeZone(t, global, "a");
  const policy = resource("MeshTimeout", "of-global", { to: [{ targetRef: { kind: "Mesh" } }] });
  assert.match(await a.send("MeshTimeout", [wire(policy)]), /already exists/);
  assert.equal(await a.send("ZoneIngress", [], ["of-b."]), "");
  assert.match(await a.send("Mesh", [wire(resource("Mesh", "default", {}))], [], { unasked: true }), /not asked for/);
  assert.deepEqual([await global.has("MeshTimeout", "of-global"), await global.has("ZoneIngress", "of-b")], before);
  assert.deepEqual(recorded(global), [
    'a writes MeshTimeout default/of-global: user error resource already exists: type="MeshTimeout" name="of-global" mesh="default"',
    "a deletes ZoneIngress /of-b: it is not the zone's",
    "a writes Mesh: Mesh was not asked for",
  ]);
});
