// What a MeshHealthCheck must say besides its shape.

import { parseGoDuration } from "#lib/duration.ts";
import { at, type Issue } from "#lib/issue.ts";
import type { CheckConf, HttpCheck, MeshHealthCheck } from "#policies/mesh-health-check/schema.ts";

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
  issues.push(...hostIssues(conf.http?.requestHeadersToAdd, [...path, "http", "requestHeadersToAdd"]));
  if (conf.http || conf.tcp || conf.grpc) return issues;
  return [...issues, { path: at(...path), message: "must have http, tcp or grpc" }];
}

/** Envoy refuses it. */
const hostIssues = (headers: HttpCheck["requestHeadersToAdd"], path: Path): readonly Issue[] =>
  (["set", "add"] as const).flatMap((how) =>
    (headers?.[how] ?? []).flatMap(({ name }, i) =>
      name === "host"
        ? [{ path: at(...path, how, i, "name"), message: "must not be host: a check asks for the service" }]
        : [],
    ),
  );
