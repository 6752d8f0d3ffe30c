// What a MeshTimeout must say besides its shape.

import { parseGoDuration } from "#lib/duration.ts";
import { at, type Issue } from "#lib/issue.ts";
import type { MeshTimeout, TimeoutConf } from "#policies/mesh-timeout/schema.ts";
import type { TargetKind } from "#policies/schema.ts";

type Path = readonly (string | number)[];

export function checkTimeouts(spec: MeshTimeout): readonly Issue[] {
  const top = spec.targetRef?.kind ?? "Mesh";
  // With these targets `from` is refused as a whole.
  const parts =
    top === "MeshGateway" || top === "MeshHTTPRoute" ? (["to", "rules"] as const) : (["from", "to", "rules"] as const);
  return parts.flatMap((part) =>
    (spec[part] ?? []).flatMap((entry, i) => confIssues(entry.default ?? {}, top, ["spec", part, i, "default"])),
  );
}

function confIssues(conf: TimeoutConf, top: TargetKind, path: Path): Issue[] {
  const { connectionTimeout, idleTimeout, http } = conf;
  if (connectionTimeout === undefined && idleTimeout === undefined && http === undefined)
    return [{ path: at(...path), message: "must have a timeout" }];
  const issues: Issue[] = [];
  if (http && Object.values(http).every((value) => value === undefined))
    issues.push({ path: at(...path, "http"), message: "must have a timeout, or be left out" });
  if (top === "MeshHTTPRoute") issues.push(...beyondRoute(conf, path));
  return [...issues, ...valueIssues(conf, path)];
}

/** A route has no connections of its own. */
function beyondRoute({ connectionTimeout, idleTimeout, http }: TimeoutConf, path: Path): Issue[] {
  const fields: readonly (readonly [string | undefined, Path])[] = [
    [connectionTimeout, ["connectionTimeout"]],
    [idleTimeout, ["idleTimeout"]],
    [http?.maxStreamDuration, ["http", "maxStreamDuration"]],
    [http?.maxConnectionDuration, ["http", "maxConnectionDuration"]],
  ];
  const message = "must be left out with a targetRef of kind MeshHTTPRoute: routes share their connections";
  return fields.flatMap(([value, steps]) => (value === undefined ? [] : [{ path: at(...path, ...steps), message }]));
}

/** Less is nothing to Go and Envoy. */
const nanosecondMs = 1e-6;

function valueIssues({ connectionTimeout, idleTimeout, http = {} }: TimeoutConf, path: Path): Issue[] {
  const issues: Issue[] = [];
  const milliseconds = (text: string | undefined): number => parseGoDuration(text ?? "1s") ?? 1;
  if (milliseconds(connectionTimeout) < nanosecondMs)
    issues.push({
      path: at(...path, "connectionTimeout"),
      message: "must be greater than 0s: Envoy can't wait for a connection without a limit",
    });
  const message = "must not be negative; 0s is no limit";
  if (milliseconds(idleTimeout) < 0) issues.push({ path: at(...path, "idleTimeout"), message });
  for (const [name, value] of Object.entries(http))
    if (milliseconds(value) < 0) issues.push({ path: at(...path, "http", name), message });
  return issues;
}
