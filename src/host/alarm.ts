// One timer for all alarms of the process: a binary heap by time, and a timer set for its top. This is the only place
// that arms timers again and again. The timer does not keep the process alive; what listens does.

import type { Clock } from "#host/world.ts";

interface Alarm {
  readonly atMs: number;
  /** Alarms for the same moment ring in the order in which they were set. */
  readonly order: number;
  readonly ring: () => void;
  /** Its place in the heap, so that cancelling leaves nothing behind; -1 when it is not there any more. */
  place: number;
}

/** The timer never sleeps longer, so that a machine that slept, or a clock that was set, is noticed. */
const longestSleepMs = 60_000;

/** `clock.alarm` over one timer. An alarm never rings inside the call that sets it. */
export function alarmsOf(now: () => number): Clock["alarm"] {
  const heap: Alarm[] = [];
  let timer: NodeJS.Timeout | undefined;
  let timerAtMs = Number.POSITIVE_INFINITY;
  let nextOrder = 0;

  function wake(): void {
    timer = undefined;
    timerAtMs = Number.POSITIVE_INFINITY;
    const due = now();
    // What is set from now on waits for the next wake-up: an alarm that sets itself for "now" must not hold the event loop.
    const firstNew = nextOrder;
    try {
      for (let top = heap[0]; top !== undefined && top.atMs <= due && top.order < firstNew; top = heap[0]) {
        remove(heap, top);
        top.ring();
      }
    } finally {
      arm();
    }
  }

  function arm(): void {
    const top = heap[0];
    if (top === undefined || timerAtMs <= top.atMs) return;
    if (timer !== undefined) clearTimeout(timer);
    const sleepMs = Math.min(Math.max(top.atMs - now(), 0), longestSleepMs);
    timerAtMs = top.atMs;
    timer = setTimeout(wake, sleepMs).unref();
  }

  return (atMs, ring) => {
    const alarm: Alarm = { atMs, order: nextOrder++, ring, place: heap.length };
    heap.push(alarm);
    rise(heap, alarm);
    arm();
    // A timer that is early because its alarm was cancelled finds nothing due and is armed again.
    return () => remove(heap, alarm);
  };
}

const isBefore = (a: Alarm, b: Alarm): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

function put(heap: Alarm[], alarm: Alarm, place: number): void {
  heap[place] = alarm;
  alarm.place = place;
}

function rise(heap: Alarm[], alarm: Alarm): void {
  let place = alarm.place;
  while (place > 0) {
    const parentPlace = (place - 1) >> 1;
    const parent = heap[parentPlace];
    if (parent === undefined || !isBefore(alarm, parent)) break;
    put(heap, parent, place);
    place = parentPlace;
  }
  put(heap, alarm, place);
}

function sink(heap: Alarm[], alarm: Alarm): void {
  let place = alarm.place;
  for (;;) {
    const left = heap[2 * place + 1];
    const right = heap[2 * place + 2];
    const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left;
    if (child === undefined || !isBefore(child, alarm)) break;
    const childPlace = child.place;
    put(heap, child, place);
    place = childPlace;
  }
  put(heap, alarm, place);
}

function remove(heap: Alarm[], alarm: Alarm): void {
  const place = alarm.place;
  if (place < 0) return;
  alarm.place = -1;
  const last = heap.pop();
  if (last === undefined || last === alarm) return;
  put(heap, last, place);
  rise(heap, last);
  sink(heap, last);
}
