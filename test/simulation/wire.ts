// What connects two programs: an ordered connection, as TCP is, over a link that delays and can be cut. What one event of a
// program sends arrives together.
//
//   cut     nothing arrives; who waits for longer than a keepalive finds the connection lost, each end for itself
//   healed  what was on its way arrives; an end that the other has given up is told so
//   reset   both ends lose it, and what was on its way
//
// A single frame can be dropped (what was sent before it arrives, and the connection breaks), doubled, or delayed, with all that
// follows it.

import type { Program } from "./program.ts";
import type { Chance } from "./random.ts";
import type { Schedule } from "./schedule.ts";

export interface End<Frame> {
  readonly program: Program;
  receive(frames: readonly Frame[]): void;
  /** `isSilent`: nobody said so. */
  lost(reason: string, isSilent: boolean): void;
}

export interface Wire<Frame> {
  /** From the end that calls. */
  send(from: 0 | 1, frame: Frame): void;
  /** The other end hears of it after what was sent before. */
  close(from: 0 | 1, reason: string): void;
  /** Gives the connection its other end. */
  accept(end: End<Frame>): void;
}

export interface Links {
  wire<Frame>(client: End<Frame>, serverHost: string, arrived: () => void): Wire<Frame>;
  cut(a: string, b: string): void;
  heal(a: string, b: string): void;
  healAll(): void;
  reset(a: string, b: string): void;
  /** One way, in milliseconds: the least and the most. */
  slow(a: string, b: string, latencyMs: Latency): void;
  /** Asked for each frame that is sent between the two. */
  tamper(a: string, b: string, faultOf: (frame: unknown) => Fault | undefined): void;
}
export const faults = ["drop", "double", "delay"] as const;
export type Fault = (typeof faults)[number];
/** Longer than anybody waits for an answer, shorter than what ends a connection. */
const delayMs = 12_000;
const reset = "connection reset by peer";
export type Latency = readonly [least: number, most: number];

/** host/keepalive.ts: asked after 15 s of silence, given up 15 s later. */
const keepaliveMs: Latency = [15_000, 30_000];
const usual: Latency = [1, 4];

interface Link {
  latencyMs: Latency;
  faultOf: (frame: unknown) => Fault | undefined;
  isCut: boolean;
  /** What arrives when it is healed. */
  held: (() => void)[];
  readonly wires: Set<{
    readonly lose: (reason: string) => void;
    readonly starve: () => void;
    readonly feed: () => void;
  }>;
}

/** `seen`: all that arrives anywhere. */
export function links(
  schedule: Schedule,
  random: Chance,
  seen: (from: string, to: string, frames: readonly unknown[]) => void,
): Links {
  const all = new Map<string, Link>();
  const linkOf = (a: string, b: string): Link => {
    const name = [a, b].sort().join(" ");
    const known = all.get(name) ?? {
      latencyMs: usual,
      faultOf: () => undefined,
      isCut: false,
      held: [],
      wires: new Set(),
    };
    all.set(name, known);
    return known;
  };

  function heal(link: Link): void {
    if (!link.isCut) return;
    link.isCut = false;
    const { held } = link;
    link.held = [];
    for (const wire of link.wires) wire.feed();
    for (const arrive of held) schedule.at(schedule.now() + link.latencyMs[0], arrive);
  }

  return {
    cut(a, b) {
      const link = linkOf(a, b);
      if (link.isCut) return;
      link.isCut = true;
      for (const wire of link.wires) wire.starve();
    },
    heal: (a, b) => heal(linkOf(a, b)),
    healAll() {
      for (const link of all.values()) {
        link.latencyMs = usual;
        link.faultOf = () => undefined;
        heal(link);
      }
    },
    reset(a, b) {
      for (const wire of [...linkOf(a, b).wires]) wire.lose(reset);
    },
    slow(a, b, latencyMs) {
      linkOf(a, b).latencyMs = latencyMs;
    },
    tamper(a, b, faultOf) {
      linkOf(a, b).faultOf = faultOf;
    },
    wire<Frame>(client: End<Frame>, serverHost: string, arrived: () => void): Wire<Frame> {
      const link = linkOf(client.program.host, serverHost);
      const ends: [End<Frame>, End<Frame> | undefined] = [client, undefined];
      const isOpen: [boolean, boolean] = [true, true];
      const starving: [(() => void) | undefined, (() => void) | undefined] = [undefined, undefined];
      /** By sender: when its last packet arrives, and the packet that is being filled. */
      const lastAt: [number, number] = [0, 0];
      const filling: [Packet<Frame> | undefined, Packet<Frame> | undefined] = [undefined, undefined];
      const own = {
        lose: (reason: string) => {
          for (const end of [0, 1] as const)
            schedule.at(schedule.now() + random.between(0, 20), () => lose(end, reason));
        },
        starve: () => {
          for (const end of [0, 1] as const) {
            if (!isOpen[end]) continue;
            const atMs = schedule.now() + random.between(...keepaliveMs);
            starving[end] = schedule.at(atMs, () => lose(end, "no answer to a PING for 15 s", true));
          }
        },
        feed: () => {
          for (const cancel of starving) cancel?.();
        },
      };
      link.wires.add(own);
      client.program.onKill(() => end(0, reset));
      if (link.isCut) own.starve();
      transmit(0, () => arrived());

      /** In order with everything else from this end. */
      function transmit(from: 0 | 1, deliver: () => void): void {
        lastAt[from] = Math.max(lastAt[from], schedule.now() + random.between(...link.latencyMs));
        schedule.at(lastAt[from], function arrive() {
          if (link.isCut) link.held.push(arrive);
          else deliver();
        });
      }

      function lose(at: 0 | 1, reason: string, isSilent = false): void {
        if (!isOpen[at]) return;
        end(at, reason);
        if (ends[at]?.program.isAlive) ends[at].lost(reason, isSilent);
      }

      /** This end is no more; the other is told. */
      function end(at: 0 | 1, reason: string): void {
        if (!isOpen[at]) return;
        isOpen[at] = false;
        starving[at]?.();
        if (!isOpen[0] && !isOpen[1]) link.wires.delete(own);
        else transmit(at, () => lose(at === 0 ? 1 : 0, reason));
      }

      return {
        send(from, frame) {
          const sender = ends[from];
          if (!isOpen[from] || !sender?.program.isAlive) return;
          const fault = link.faultOf(frame);
          if (fault === "drop") {
            end(from, reset);
            schedule.at(schedule.now(), () => sender.program.isAlive && sender.lost(reset, false));
            return;
          }
          if (fault === "delay") {
            lastAt[from] = Math.max(lastAt[from], schedule.now()) + delayMs;
            filling[from] = undefined;
          }
          const frames = fault === "double" ? [frame, frame] : [frame];
          const current = filling[from];
          if (current?.step === schedule.step) {
            current.frames.push(...frames);
            return;
          }
          const packet: Packet<Frame> = { step: schedule.step, frames };
          filling[from] = packet;
          const to = from === 0 ? 1 : 0;
          transmit(from, () => {
            const receiver = ends[to];
            if (!isOpen[to] || !receiver?.program.isAlive) return;
            seen(sender.program.host, receiver.program.host, packet.frames);
            receiver.receive(packet.frames);
          });
        },
        close: end,
        accept(server) {
          ends[1] = server;
          server.program.onKill(() => end(1, reset));
        },
      };
    },
  };
}

interface Packet<Frame> {
  /** What is sent in another event goes in another packet. */
  readonly step: number;
  readonly frames: Frame[];
}
