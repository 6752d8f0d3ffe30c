// The machine as it is: its clock, its randomness, its network.

import { randomUUID } from "node:crypto";
import { addressesOf } from "#host/addresses-of.ts";
import { alarmsOf } from "#host/alarm.ts";
import { dial } from "#host/grpc-client.ts";
import { listen } from "#host/listen.ts";
import type { Log } from "#host/log.ts";
import type { Clock, World } from "#host/world.ts";

export function realWorld({ log }: { readonly log: Log }): World {
  const clock: Clock = { now: Date.now, alarm: alarmsOf(Date.now) };
  return {
    clock,
    random: { uuid: randomUUID, fraction: Math.random },
    network: {
      listen: (options) => listen(options, clock, log),
      dial: (target) => dial(target, clock, log),
      lookup: addressesOf,
    },
    log,
  };
}
