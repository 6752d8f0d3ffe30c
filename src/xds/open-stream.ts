// How an Envoy's stream begins, whatever it is for: its first request says who it is and lets it in or not; what it sends until that is
// decided waits.

import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { messageIn } from "#discovery/message.ts";
import { statusOfError } from "#host/grpc-status.ts";
import type { Log } from "#host/log.ts";
import { type Clock, grpcCode, type ServerStream, type Status } from "#host/world.ts";
import { describeFailure, KodiakError } from "#lib/failure.ts";

export interface Opened<Request> {
  /** The first one, too. */
  request(request: Request): void;
  /** Envoy reads again. */
  drained(): void;
  ended(status: Status): void;
}

export interface OpenStreamOptions<Schema extends DescMessage, Admitted> {
  /** The method, for the log. */
  readonly path: string;
  readonly schema: Schema;
  readonly clock: Pick<Clock, "now" | "alarm">;
  readonly log: Log;
  /** Rejects with a failure that the proxy is told. */
  admit(first: MessageShape<Schema>): Promise<Admitted>;
  attach(admitted: Admitted): Opened<MessageShape<Schema>>;
  /** Its stream has ended while it was being let in. */
  abandon(admitted: Admitted, status: Status): void;
}

/** An Envoy sends it with the stream; a stranger could hold many streams with a part of it. */
const firstRequestWithinMs = 10_000;

export function openStream<Schema extends DescMessage, Admitted>(
  stream: ServerStream,
  { path, schema, clock, log, admit, attach, abandon }: OpenStreamOptions<Schema, Admitted>,
): void {
  const early: MessageShape<Schema>[] = [];
  let opened: Opened<MessageShape<Schema>> | undefined;
  let end: Status | undefined;
  const cancelWait = clock.alarm(clock.now() + firstRequestWithinMs, () =>
    stream.end({
      code: grpcCode.deadlineExceeded,
      message: `there was no request within ${firstRequestWithinMs / 1000} s`,
    }),
  );
  stream.onMessage((bytes) => {
    cancelWait();
    let request: MessageShape<Schema>;
    try {
      request = messageIn(schema, bytes);
    } catch (error) {
      const status = statusOfError(error, path, log);
      log.warn({ peer: stream.peer, reason: status.message }, "ended a stream that makes no sense");
      stream.end(status);
      return;
    }
    if (opened) opened.request(request);
    else if (early.push(request) === 1) start(request);
  });
  stream.onDrained(() => opened?.drained());
  stream.onEnd((status) => {
    cancelWait();
    end = status;
    opened?.ended(status);
  });

  function start(first: MessageShape<Schema>): void {
    admit(first).then(
      (admitted) => {
        if (end) return abandon(admitted, end);
        opened = attach(admitted);
        for (const request of early) opened.request(request);
      },
      (error: unknown) => {
        if (!(error instanceof KodiakError)) return stream.end(statusOfError(error, path, log));
        // The code that stock proxies know (interop 5.5).
        stream.end({ code: grpcCode.unknown, message: describeFailure(error.failure) });
      },
    );
  }
}
