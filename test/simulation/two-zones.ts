// The stage of scenarios in virtual time: two zones whose instances call each other.

import assert from "node:assert/strict";
import type { JsonObject } from "#lib/json.ts";
import { misfits } from "./checks.ts";
import type { ControlPlane } from "./control-plane.ts";
import { meshSpec, permission } from "./manifests.ts";
import { type Stage, stage } from "./stage.ts";

/** Two zones that call each other: everybody offers and uses `backend`. */
export async function twoZones({
  mesh = meshSpec("m1", "STRICT"),
  ...more
}: {
  readonly mesh?: JsonObject;
  readonly lastsMs?: number;
} = {}): Promise<Stage & { readonly zoneA: ControlPlane; readonly zoneB: ControlPlane }> {
  const on = await stage({ seed: 1, zones: 2, meshes: ["m1"], ...more });
  const [zoneA, zoneB] = on.zones;
  assert.ok(zoneA && zoneB);
  on.global.start();
  for (const zone of on.zones) zone.start();
  on.put(on.global, mesh);
  on.put(on.global, permission("m1", "all", "Allow"));
  for (const zone of on.zones) {
    ingress(on, zone);
    instance(on, zone, 1);
  }
  await on.time.advance(60_000);
  assert.deepEqual(misfits(on), []);
  return { ...on, zoneA, zoneB };
}

function ingress(on: Stage, zone: ControlPlane): void {
  const address = `10.${on.zones.indexOf(zone)}.1.1`;
  on.proxy({ zone: zone.name, kind: "ZoneIngress", mesh: "", name: `ingress-${zone.name}` }).start({
    networking: { address, port: 10001, advertisedAddress: address, advertisedPort: 10001 },
  });
}

export function instance(on: Stage, zone: ControlPlane, number: number) {
  const proxy = on.proxy({ zone: zone.name, kind: "Dataplane", mesh: "m1", name: `${zone.name}-${number}` });
  proxy.start({
    networking: {
      address: `10.${on.zones.indexOf(zone)}.0.${number}`,
      inbound: [{ port: 8080, tags: { "kuma.io/service": "backend", "kuma.io/protocol": "http" } }],
      outbound: [{ port: 9000, tags: { "kuma.io/service": "backend" } }],
    },
  });
  return proxy;
}

export const end = (on: Stage): void => {
  for (const one of [on.global, ...on.zones, ...on.proxies]) one.kill();
};
