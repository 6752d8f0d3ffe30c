// What the API refuses, as Kuma's error JSON (interop 1.10), and the one table from failures to statuses.

import { describeFailure, type Failure, KodiakError } from "#lib/failure.ts";
import type { Issue } from "#lib/issue.ts";
import type { JsonObject } from "#lib/json.ts";

/** An answer other than success; thrown by handlers, written by the one error handler of the server. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: number;
  readonly title: string;
  readonly issues: readonly Issue[];

  constructor(status: number, title: string, detail: string, issues: readonly Issue[] = []) {
    super(detail);
    this.status = status;
    this.title = title;
    this.issues = issues;
  }
}

export const invalid = (title: string, issues: readonly Issue[]): Problem =>
  new Problem(400, title, "Resource is not valid", issues);
export const notFound = (title: string): Problem => new Problem(404, title, "Not found");
export const badRequest = (detail: string): Problem => new Problem(400, "Bad Request", detail);

export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof KodiakError) return problemOfFailure(error.failure);
  return new Problem(500, "Internal Server Error", "Internal Server Error");
}

function problemOfFailure(failure: Failure): Problem {
  const text = describeFailure(failure);
  switch (failure.kind) {
    case "invalid":
      return invalid(failure.what, failure.issues);
    case "not-found":
      return new Problem(404, "Could not retrieve a resource", text);
    case "conflict":
      return new Problem(409, "Conflict", text);
    case "forbidden":
      return new Problem(403, "Access Denied", text);
    case "unauthenticated":
      return new Problem(401, "Invalid authentication data", text);
    case "unavailable":
    case "untrusted":
      return new Problem(503, "Service unavailable", text);
  }
}

/** Members in the order of interop 1.10; `details` and `causes` are copies that old clients read. */
export const problemJson = ({ status, title, message: detail, issues }: Problem): JsonObject => ({
  type: "/std-errors",
  status,
  title,
  detail,
  ...(issues.length > 0 && {
    invalid_parameters: issues.map(({ path, message }) => ({ field: path, reason: message })),
  }),
  details: detail,
  ...(issues.length > 0 && { causes: issues.map(({ path, message }) => ({ field: path, message })) }),
});
