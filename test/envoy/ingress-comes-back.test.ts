// An ingress that ends and starts again under its own name, as a service of the machine does.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import type { Resource } from "#resources/resource.ts";
import { recordingLog } from "../agent/recording-log.ts";
import { get } from "../lab/http.ts";
import { eventually, lab, put, startProxy } from "../lab/lab.ts";
import { dataplane, zoneIngress } from "../lab/manifests.ts";
import { twoZones } from "../lab/two-zones.ts";

const offersOf = (ingress: Resource | undefined) => [ingress?.spec.availableServices ?? []].flat();

test("an ingress that comes back under its own name is offered when its Envoy has acknowledged the way, not before", async (t) => {
  const log = recordingLog();
  const own = await lab(t, log);
  const { zoneA, zoneB, ingress, ingressAt, zoneToken, url, addBackend } = await twoZones(own);
  await addBackend(zoneB, "backend-2", "127.0.2.2");
  await eventually("the offer in the other zone", 20_000, async () =>
    assert.equal(zoneA.store.list("ZoneIngress").flatMap(offersOf).length, 1),
  );
  // Nobody has called: no connection keeps it.
  assert.equal(await ingress.leave(), 0);
  assert.deepEqual(zoneB.store.list("ZoneIngress"), []);

  // Somebody has its port: its Envoy refuses the listener.
  const other = createServer().listen(ingressAt.port, ingressAt.host);
  await once(other, "listening");
  own.atEnd(async () => void other.close());
  const offered: unknown[] = [];
  const unwatch = zoneB.store.watch(({ changes }) => {
    for (const { id, after } of changes) if (id.kind === "ZoneIngress") offered.push(...offersOf(after));
  });
  own.atEnd(async () => void unwatch());
  await startProxy(own, zoneB, zoneIngress("ingress-b", ingressAt.host, ingressAt.port), zoneToken);
  await log.next(/Envoy refuses an object/);
  assert.equal(zoneB.store.list("ZoneIngress").length, 1);
  assert.deepEqual(offered, []);

  other.close();
  await once(other, "close");
  // What is refused is tried again when it changes: a service more is a way more.
  const more = { mesh: "default", name: "more", service: "more", address: "127.0.2.4", port: 80, appPort: 8080 };
  await put(zoneB.api, "/meshes/default/dataplanes/more", dataplane(more));
  await eventually("an answer of the other zone", 20_000, async () => assert.equal((await get(url)).status, 200));
  assert.notDeepEqual(offered, []);
});
