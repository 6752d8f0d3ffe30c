// HTTP/2 PINGs find out that a peer has gone without saying so: a machine that lost its power, a firewall that forgot.
// 15 s and 15 s are what Kuma uses on both sides (interop 4.1). grpc-go tells a peer that pings more often to go away,
// so the time runs from the last answer, not from the last PING.

import type { Http2Session } from "node:http2";
import type { Clock } from "#host/world.ts";

const pingAfterMs = 15_000;
const answerWithinMs = 15_000;

/** Calls `lost` when the peer does not answer; the session is then as good as gone. */
export function keepAlive(session: Http2Session, clock: Clock, lost: (why: string) => void): void {
  let cancel = clock.alarm(clock.now() + pingAfterMs, ping);
  session.once("close", () => cancel());

  function ping(): void {
    if (session.destroyed) return;
    cancel = clock.alarm(clock.now() + answerWithinMs, () =>
      lost(`no answer to a PING for ${answerWithinMs / 1000} s`),
    );
    session.ping((error) => {
      cancel();
      // An error says that the session closed meanwhile.
      if (error === null && !session.destroyed) cancel = clock.alarm(clock.now() + pingAfterMs, ping);
    });
  }
}
