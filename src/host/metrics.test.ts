// What Prometheus reads, and what is counted for it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { certificateFor } from "#host/certificate-for-test.ts";
import { openLog } from "#host/log.ts";
import { openMetrics } from "#host/metrics.ts";
import { processMetrics } from "#host/process-metrics.ts";
import { realWorld } from "#host/real-world.ts";
import { countedNetwork, trafficMetrics } from "#host/traffic.ts";

test("a metric is read when it is scraped, not before", async () => {
  const metrics = openMetrics();
  let reads = 0;
  let proxies = 3;
  const read = () => {
    reads++;
    return proxies;
  };
  metrics.gauge({ name: "proxies", help: "Proxies", read });
  metrics.counter({
    name: "answers_total",
    help: "Answers",
    labels: ["type"],
    read: () => [{ labels: { type: 'a "quoted"' }, value: 2 }],
  });
  metrics.durations("commit_seconds", "Commits")(2);
  assert.equal(reads, 0);
  const first = await metrics.scrape();
  assert.match(first.contentType, /^text\/plain; version=0\.0\.4/);
  for (const line of [
    "# TYPE proxies gauge\nproxies 3",
    '# TYPE answers_total counter\nanswers_total{type="a \\"quoted\\""} 2',
    'commit_seconds_bucket{le="0.001"} 0',
    'commit_seconds_bucket{le="0.0025"} 1',
    "commit_seconds_sum 0.002",
  ])
    assert.ok(first.text.includes(`${line}\n`), line);
  proxies = 1;
  const second = await metrics.scrape();
  assert.ok(second.text.includes("proxies 1\n") && second.text.includes('"} 2\n'), "counters are read, not added to");
});

test("the process is measured under the usual names", async () => {
  const metrics = openMetrics();
  processMetrics(metrics);
  // Node.js counts from the first turn of the event loop on.
  await new Promise((resolve) => setImmediate(resolve));
  const { text } = await metrics.scrape();
  const numberOf = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
  assert.ok(numberOf("process_resident_memory_bytes") > 1e7);
  assert.ok(numberOf("process_cpu_seconds_total") > 0.01);
  assert.ok(numberOf("process_open_fds") > 2);
  assert.ok(Math.abs(numberOf("process_start_time_seconds") - Date.now() / 1000) < 60);
  assert.ok(numberOf("nodejs_eventloop_busy_seconds_total") > 0);
  assert.ok(numberOf("nodejs_eventloop_delay_seconds") >= 0);
});

test("streams are counted by method, at both ends, until they have ended", async (t) => {
  const { ca, ...certificate } = await certificateFor(["127.0.0.1"]);
  const { network } = realWorld({ log: openLog("silent") });
  const near = countedNetwork(network);
  const far = countedNetwork(network);
  const path = "/a.B/Echo";
  const listening = await far.listen({
    ...{ host: "127.0.0.1", port: 0, ...certificate },
    streams: { [path]: (stream) => stream.onMessage((message) => void stream.send([message, message])) },
  });
  t.after(() => listening.close("the end"));
  const connection = near.dial({ host: "127.0.0.1", port: listening.port, trust: { kind: "ca", ca } });
  t.after(() => connection.close());
  const stream = connection.stream(path);
  const answered = new Promise((resolve) => stream.onMessage(resolve));
  stream.send([Buffer.from("abc")]);
  await answered;
  const unknown = connection.stream("/a.B/Unknown");
  await new Promise((resolve) => unknown.onEnd(resolve));
  assert.deepEqual(near.traffic.get(path), { open: 1, sent: 1, received: 1, sentBytes: 3, receivedBytes: 6 });
  assert.deepEqual(far.traffic.get(path), { open: 1, sent: 1, received: 1, sentBytes: 6, receivedBytes: 3 });
  assert.deepEqual([...far.traffic.keys()], [path], "a peer adds no methods");
  const ended = new Promise((resolve) => stream.onEnd(resolve));
  stream.halfClose();
  await ended;
  assert.equal(near.traffic.get(path)?.open, 0);

  const metrics = openMetrics();
  trafficMetrics(metrics, near);
  assert.match((await metrics.scrape()).text, /^kodiak_grpc_sent_bytes_total\{method="a\.B\/Echo"\} 3$/m);
});
