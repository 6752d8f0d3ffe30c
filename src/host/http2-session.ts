// How HTTP/2 is set up on both sides of a connection.

import type { SessionOptions } from "node:http2";

/** For all streams of a connection together. */
export const connectionWindowBytes = 4 * 1024 * 1024;

export const sessionOptions: SessionOptions = {
  settings: {
    enablePush: false,
    // A message of some hundred KB arrives without waiting for window updates.
    initialWindowSize: 1024 * 1024,
    // Of the peer's streams: a zone has five and short calls, an Envoy two.
    maxConcurrentStreams: 100,
  },
  // In MB. With Node's 10, one message of the permitted 10 MiB on its way makes it refuse new streams.
  maxSessionMemory: 64,
};
