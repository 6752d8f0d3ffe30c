// P4: one bad object hurts only itself: it is refused alone, with a reason, by name; all else goes on. Between control planes; what a
// zone refuses: P6.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeResource } from "#kds/codec.ts";
import { kindNamed } from "#resources/kinds.ts";
import { resource, startGlobal } from "../kds/control-planes.ts";
import { handMadeZone } from "./hand-made-zone.ts";

test("an object of a zone that does not parse is refused by name; the rest of its kind is stored", async (t) => {
  const global = await startGlobal(t);
  const zone = handMadeZone(t, global, "a");
  const good = encodeResource(kindNamed("Dataplane"), resource("Dataplane", "good", {}));
  const objects = [
    { name: "bad.default", value: Uint8Array.of(0xff) },
    { name: "good.default", value: good },
  ];
  assert.match(await zone.send("Dataplane", objects), /^cannot be decoded/);
  await global.has("Dataplane", "good");
  const refused = global.server.links
    .list()
    .flatMap((link) => link.refused.map(({ name, where }) => `${name} ${where}`));
  assert.deepEqual(refused, ["bad here"]);
});
