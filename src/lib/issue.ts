// What is wrong with an input: where, and what to do. Pure code returns issues; it does not throw.

export interface Issue {
  /** Dotted path as in Kuma's API: `spec.to[0].default.http.requestTimeout`, map keys as `tags["a.b/c"]`. */
  readonly path: string;
  /** Says what must be, e.g. `must be a duration, like 5s`. */
  readonly message: string;
}

/** A hostile input has as many as it likes. */
const mostDescribed = 50;

export function describeIssues(issues: readonly Issue[]): string {
  const described = issues.slice(0, mostDescribed);
  const texts = described.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
  if (issues.length > mostDescribed) texts.push(`and ${issues.length - mostDescribed} more`);
  return texts.join("; ");
}

/** `at("spec", "to", 0, "tags", "a/b")` is `spec.to[0].tags["a/b"]`. */
export function at(...steps: readonly (string | number)[]): string {
  return steps.reduce<string>((path, step) => {
    if (typeof step === "number") return `${path}[${step}]`;
    if (!/^[A-Za-z_][\w-]*$/.test(step)) return `${path}[${JSON.stringify(step)}]`;
    return path === "" ? step : `${path}.${step}`;
  }, "");
}
