// What a process tells Prometheus. Nothing is kept up to date for it: a metric is a function that is called when somebody
// scrapes, so that metrics cost nothing while nobody does. Only durations are noted when they are measured.

import { Counter, Gauge, Histogram, Registry } from "prom-client";

export interface Metric {
  readonly name: string;
  readonly help: string;
  /** Names of labels; absent: none. */
  readonly labels?: readonly string[];
  readonly read: () => Reading | Promise<Reading>;
}
/** A number, or one for each set of labels. */
export type Reading = number | Iterable<Sample>;
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Metrics {
  /** Something that only grows while the process lives; its name ends in `_total`. */
  counter(metric: Metric): void;
  gauge(metric: Metric): void;
  /** Its name ends in `_seconds`; the function that is returned takes one duration. */
  durations(name: string, help: string): (durationMs: number) => void;
  /** All of them as they are now, in Prometheus' text format. */
  scrape(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** Seconds: from a commit on a fast disk to one that somebody notices. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export function openMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const samplesOf = (reading: Reading): Iterable<Sample> =>
    typeof reading === "number" ? [{ labels: {}, value: reading }] : reading;

  return {
    counter({ name, help, labels: labelNames = [], read }) {
      new Counter({
        ...{ name, help, labelNames, registers },
        async collect() {
          const reading = await read();
          this.reset();
          for (const { labels, value } of samplesOf(reading)) this.inc(labels, value);
        },
      });
    },
    gauge({ name, help, labels: labelNames = [], read }) {
      new Gauge({
        ...{ name, help, labelNames, registers },
        async collect() {
          const reading = await read();
          this.reset();
          for (const { labels, value } of samplesOf(reading)) this.set(labels, value);
        },
      });
    },
    durations(name, help) {
      const histogram = new Histogram({ name, help, registers, buckets });
      return (durationMs) => histogram.observe(durationMs / 1000);
    },
    scrape: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
