// A program that runs on a simulated host, and what it sees of the world. Killed, it is never called again and nothing that it
// does reaches anybody: what is left of it in memory goes on by itself, unseen, until it has nothing to do.

import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import type { Chance } from "./random.ts";
import type { Schedule } from "./schedule.ts";

export interface Program {
  /** Where it runs: what others dial. */
  readonly host: string;
  readonly isAlive: boolean;
  readonly clock: Clock;
  readonly random: Chance;
  readonly log: Log;
  kill(): void;
  /** Called once, when it is killed. */
  onKill(handle: () => void): void;
}

/** `say`: a line of its log. */
export function program(host: string, schedule: Schedule, random: Chance, say: Say): Program {
  const ends: (() => void)[] = [];
  let isAlive = true;
  return {
    host,
    get isAlive() {
      return isAlive;
    },
    clock: {
      now: schedule.now,
      alarm(atMs, ring) {
        return isAlive ? schedule.at(atMs, () => isAlive && ring()) : () => {};
      },
    },
    random,
    log: logOf(host, (level, text) => isAlive && say(level, text)),
    kill() {
      if (!isAlive) return;
      isAlive = false;
      for (const end of ends) end();
    },
    onKill: (handle) => void ends.push(handle),
  };
}

export type Level = "info" | "warn" | "error";
export type Say = (level: Level, text: string) => void;

function logOf(host: string, say: (level: Level, text: string) => void): Log {
  const line =
    (level: Level) =>
    (fields: object, message: string): void =>
      say(level, `${host}: ${message} ${JSON.stringify(fields)}`);
  const log: Log = { debug: () => {}, info: line("info"), warn: line("warn"), error: line("error"), child: () => log };
  return log;
}
