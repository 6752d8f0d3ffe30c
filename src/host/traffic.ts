// What goes over gRPC, counted by method: a network around a network, which adds to numbers as messages pass.

import type { Metrics, Sample } from "#host/metrics.ts";
import type { ClientStream, Network, ServerStream, Stream } from "#host/world.ts";

/** Of one method. Bytes of messages, before they are compressed. */
export interface MethodTraffic {
  open: number;
  sent: number;
  received: number;
  sentBytes: number;
  receivedBytes: number;
}

export interface CountedNetwork extends Network {
  readonly traffic: ReadonlyMap<string, Readonly<MethodTraffic>>;
}

/** Counts the streams of methods that are served or called here, so that no peer makes up new ones. */
export function countedNetwork(network: Network): CountedNetwork {
  const traffic = new Map<string, MethodTraffic>();
  const countsOf = (path: string): MethodTraffic => {
    const known = traffic.get(path) ?? { open: 0, sent: 0, received: 0, sentBytes: 0, receivedBytes: 0 };
    traffic.set(path, known);
    return known;
  };
  const served = (path: string, serve: (stream: ServerStream) => void) => (stream: ServerStream) => {
    const { headers, peer, client } = stream;
    serve({
      ...counted(stream, countsOf(path)),
      ...{ path, headers, peer, client },
      sendHeaders: () => stream.sendHeaders(),
      end: (status) => stream.end(status),
    });
  };
  const called = (path: string, stream: ClientStream): ClientStream => ({
    ...counted(stream, countsOf(path)),
    halfClose: () => stream.halfClose(),
    cancel: () => stream.cancel(),
  });
  return {
    traffic,
    listen: (options) =>
      network.listen({
        ...options,
        streams: Object.fromEntries(
          Object.entries(options.streams).map(([path, serve]) => [path, served(path, serve)]),
        ),
      }),
    lookup: network.lookup,
    dial(target) {
      const connection = network.dial(target);
      return { ...connection, stream: (path, options) => called(path, connection.stream(path, options)) };
    },
  };
}

function counted(stream: Stream, counts: MethodTraffic): Stream {
  counts.open++;
  // However it ends, and whether or not anybody else wants to know.
  stream.onEnd(() => counts.open--);
  return {
    send(pieces) {
      counts.sent++;
      for (const { length } of pieces) counts.sentBytes += length;
      return stream.send(pieces);
    },
    onMessage: (handle) =>
      stream.onMessage((message) => {
        counts.received++;
        counts.receivedBytes += message.length;
        handle(message);
      }),
    onDrained: (handle) => stream.onDrained(handle),
    onEnd: (handle) => stream.onEnd(handle),
  };
}

export function trafficMetrics(
  { counter, gauge }: Pick<Metrics, "counter" | "gauge">,
  { traffic }: Pick<CountedNetwork, "traffic">,
): void {
  const labels = ["method"];
  const read = (count: keyof MethodTraffic) => (): readonly Sample[] =>
    [...traffic].map(([path, counts]) => ({ labels: { method: path.slice(1) }, value: counts[count] }));
  const counters = [
    ["messages_sent", "Messages sent over gRPC", "sent"],
    ["messages_received", "Messages received over gRPC", "received"],
    ["sent_bytes", "Bytes of the messages sent, before compression", "sentBytes"],
    ["received_bytes", "Bytes of the messages received, after decompression", "receivedBytes"],
  ] as const;
  gauge({ name: "kodiak_grpc_streams", help: "gRPC streams that are open", labels, read: read("open") });
  for (const [name, help, count] of counters)
    counter({ name: `kodiak_grpc_${name}_total`, help, labels, read: read(count) });
}
