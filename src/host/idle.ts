// An HTTP/2 connection on which nothing is open is ended after a while: whoever reaches a port could keep as many as it likes, and each
// is memory and a file. Envoys and zones always have a stream open. It is ended by GOAWAY, after which a call that comes too late is made anew.

import type { ServerHttp2Session } from "node:http2";
import type { Clock } from "#host/world.ts";

const idleForMs = 15_000;

export function endWhenIdle(session: ServerHttp2Session, clock: Clock): void {
  let open = 0;
  let cancel = begin();

  function begin(): () => void {
    return clock.alarm(clock.now() + idleForMs, () => session.close());
  }

  session.on("stream", (stream) => {
    cancel();
    open++;
    stream.once("close", () => {
      open--;
      if (open === 0 && !session.destroyed) cancel = begin();
    });
  });
  session.once("close", () => cancel());
}
