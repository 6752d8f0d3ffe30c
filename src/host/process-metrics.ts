// The process as Prometheus sees any process, under the usual names. The event loop is measured by how busy it was, which
// Node.js counts anyway, and by how late it is while somebody scrapes: a timer that always watches would always cost.

import { readdir } from "node:fs/promises";
import { type EventLoopUtilization, performance } from "node:perf_hooks";
import type { Metrics } from "#host/metrics.ts";

const perMs = 1 / 1000;
const perMicrosecond = 1 / 1_000_000;

export function processMetrics({ counter, gauge }: Pick<Metrics, "counter" | "gauge">): void {
  counter({
    name: "process_cpu_seconds_total",
    help: "CPU time, user and system",
    read() {
      const { user, system } = process.cpuUsage();
      return (user + system) * perMicrosecond;
    },
  });
  gauge({
    name: "process_start_time_seconds",
    help: "When the process started, since the epoch",
    read: () => performance.timeOrigin * perMs,
  });
  gauge({
    name: "process_resident_memory_bytes",
    help: "Memory that the process holds",
    read: () => process.memoryUsage.rss(),
  });
  gauge({
    name: "process_open_fds",
    help: "Open files and connections",
    // Without the one through which they are read.
    read: async () => (await readdir("/proc/self/fd")).length - 1,
  });
  gauge({
    name: "nodejs_memory_bytes",
    help: "Memory of JavaScript: its heap, what of that is used, and what lies outside",
    labels: ["part"],
    read() {
      const { heapTotal, heapUsed, external } = process.memoryUsage();
      return Object.entries({ heapTotal, heapUsed, external }).map(([part, value]) => ({ labels: { part }, value }));
    },
  });
  const loop = (part: keyof Pick<EventLoopUtilization, "active" | "idle">) => () =>
    performance.eventLoopUtilization()[part] * perMs;
  counter({
    name: "nodejs_eventloop_busy_seconds_total",
    help: "Time in which the event loop had something to do",
    read: loop("active"),
  });
  counter({
    name: "nodejs_eventloop_idle_seconds_total",
    help: "Time in which the event loop waited for something to do",
    read: loop("idle"),
  });
  gauge({
    name: "nodejs_eventloop_delay_seconds",
    help: "How long something that is due waits for its turn, measured at this scrape",
    async read() {
      const begun = performance.now();
      await new Promise((resolve) => setImmediate(resolve));
      return (performance.now() - begun) * perMs;
    },
  });
}
