// What a MeshHealthCheck must say besides its shape.

import { parseGoDuration } from "#lib/duration.ts";
import { at, type Issue } from "#lib/issue.ts";
import type { CheckConf, MeshHealthCheck } from "#policies/mesh-health-check/schema.ts";

type Path = readonly (string | number)[];

export const checkHealthChecks = (spec: MeshHealthCheck): readonly Issue[] =>
  (spec.to ?? []).flatMap((entry, i) => confIssues(entry.default ?? {}, ["spec", "to", i, "default"]));

/** Envoy's timers count in it. */
const millisecond = 1;
const times = ["interval", "timeout", "initialJitter", "intervalJitter", "noTrafficInterval"] as const;

function confIssues(conf: CheckConf, path: Path): readonly Issue[] {
  const issues = times
    .filter((name) => (parseGoDuration(conf[name] ?? "1s") ?? 0) < millisecond)
    .map((name) => ({ path: at(...path, name), message: "must be 1ms or more" }));
  if (conf.http || conf.tcp || conf.grpc) return issues;
  return [...issues, { path: at(...path), message: "must have http, tcp or grpc" }];
}
