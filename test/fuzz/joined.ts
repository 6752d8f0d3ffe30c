// The certificate of a zone that was let in, without the zone.

import assert from "node:assert/strict";
import { openLog } from "#host/log.ts";
import type { Identity } from "#host/world.ts";
import { memoryStore } from "#store/memory.ts";
import { membership } from "#zone/membership.ts";
import { post } from "../lab/lab.ts";
import type { Stage } from "./stage.ts";

export async function joinedAs({ of, global }: Stage, zone: string): Promise<Identity> {
  const { network, clock, random } = of.world;
  const member = membership({
    ...{ zone, version: "test", network, clock, store: memoryStore(clock, random), log: openLog("silent") },
    target: { host: "127.0.0.1", port: Number(global.ready.kdsPort), trust: { kind: "skip-verify" } },
    joinToken: await post(global.api, "/tokens/join", { zone }),
    onRenewed: () => {},
  });
  await member.join();
  member.stop();
  const identity = member.identity();
  assert.ok(identity);
  return identity;
}
