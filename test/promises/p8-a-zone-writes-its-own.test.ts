// P8: a zone writes only what is its own; a forged write is refused and recorded. By a zone made by hand, against a real global.

import assert from "node:assert/strict";
import { test } from "node:test";
import { served } from "#cli/cli.fixture.ts";
import { encodeResource } from "#kds/codec.ts";
import { wireNameOf } from "#kds/name.ts";
import type { JsonObject } from "#lib/json.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Labels, Resource } from "#resources/resource.ts";
import { resource, startGlobal } from "../kds/control-planes.ts";
import { handMadeZone } from "./hand-made-zone.ts";

const wire = (one: Resource) => ({ name: wireNameOf(one), value: encodeResource(kindNamed(one.kind), one) });
const inbound = (tags: Readonly<Record<string, string>> = {}) => ({
  networking: { address: "127.0.0.2", inbound: [{ port: 80, tags: { "kuma.io/service": "backend", ...tags } }] },
});
const dataplane = (name: string, spec: JsonObject = inbound(), labels: Labels = {}) =>
  resource("Dataplane", name, spec, labels);
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
