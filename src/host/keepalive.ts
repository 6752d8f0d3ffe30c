// What finds out that a peer has gone without saying so: a machine that lost its power, a firewall that forgot (decision 9).
//
//   who dials       an HTTP/2 PING at rest, every 15 s, and 15 s for its answer, as Kuma has it on both sides (interop 4.1)
//   who accepts     at rest the kernel's keepalive, which costs this process nothing; after it has written, a PING
//
// The kernel's keepalive is silent while something that was written is not acknowledged, which it then sends again for a quarter of
// an hour; that is what the PINGs of who accepts are for. With a thousand proxies PINGs at rest were all that it did at rest.
//
// A PING waits behind what was written before it, on a slow link for longer than 15 s. So whatever comes from a peer meanwhile says that
// it is there: who reads says so, if only that it can take more.

import type { Http2Session } from "node:http2";
import type { Clock } from "#host/world.ts";

const pingAfterMs = 15_000;
const answerWithinMs = 15_000;
const turnMs = 1_000;
const noAnswer = `no answer to a PING for ${answerWithinMs / 1000} s`;

/** A probe after 15 s of rest, and libuv has ten more follow, a second apart: a peer that is gone at rest is found after 25 s. */
export const kernelKeepAlive = { keepAlive: true, keepAliveInitialDelay: 15_000 };

/**
 * Calls `lost` when the peer does not answer; the session is then as good as gone. grpc-go tells a peer that pings more often to go
 * away, so the time runs from the last answer, not from the last PING.
 */
export function keepAlive(session: Http2Session, clock: Clock, lost: (why: string) => void): void {
  let cancel = clock.alarm(clock.now() + pingAfterMs, ping);
  session.once("close", () => cancel());

  function ping(): void {
    if (session.destroyed) return;
    wait();
    session.ping((error) => {
      cancel();
      // An error says that the session closed meanwhile.
      if (error === null && !session.destroyed) cancel = clock.alarm(clock.now() + pingAfterMs, ping);
    });
  }

  function wait(): void {
    const read = session.socket.bytesRead;
    cancel = clock.alarm(clock.now() + answerWithinMs, () => {
      if (session.destroyed) return;
      if (session.socket.bytesRead === read) lost(noAnswer);
      else wait();
    });
  }
}

interface Watched {
  /** To its connection: bytes that had been written when the peer was known to be there. */
  written: number;
  /** From it, when it was asked. */
  read: number;
  isAsked: boolean;
}

/**
 * Calls `lost` for accepted sessions whose peer does not answer. One alarm a second while there are any, each for a fifteenth of
 * them: after a change for a thousand proxies they are not all asked in one turn of the event loop.
 */
export function watchOver(clock: Clock, lost: (session: Http2Session, why: string) => void) {
  const turns = Array.from({ length: pingAfterMs / turnMs }, () => new Map<Http2Session, Watched>());
  let count = 0;
  let next = 0;
  let last = 0;
  let isDue = false;

  function arm(): void {
    if (isDue || count === 0) return;
    isDue = true;
    clock.alarm(clock.now() + turnMs, look);
  }

  function look(): void {
    isDue = false;
    for (const [session, watched] of turns[next] ?? []) {
      if (session.destroyed) continue;
      // Asked 15 turns ago: what arrived while this process itself stood still is no reason to give up.
      if (watched.isAsked) {
        const { bytesRead } = session.socket;
        if (bytesRead === watched.read) lost(session, noAnswer);
        watched.read = bytesRead;
      } else if (session.socket.bytesWritten !== watched.written) ask(session, watched);
    }
    next = (next + 1) % turns.length;
    arm();
  }

  function ask(session: Http2Session, watched: Watched): void {
    watched.isAsked = true;
    watched.read = session.socket.bytesRead;
    session.ping((error) => {
      // An error says that the session closed meanwhile.
      if (error !== null || session.destroyed) return;
      watched.isAsked = false;
      watched.written = session.socket.bytesWritten;
    });
  }

  return function watch(session: Http2Session): void {
    last = (last + 1) % turns.length;
    const turn = turns[last];
    turn?.set(session, { written: 0, read: 0, isAsked: false });
    count++;
    session.once("close", () => {
      turn?.delete(session);
      count--;
    });
    arm();
  };
}
