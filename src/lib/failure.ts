// Why something could not be done. Each edge (HTTP, gRPC, CLI) has one table from a failure's kind to its codes.
// A programmer's mistake is not a failure: it is an assertion.

import { describeIssues, type Issue } from "#lib/issue.ts";

export type Failure =
  | { readonly kind: "invalid"; readonly what: string; readonly issues: readonly Issue[] }
  | { readonly kind: "not-found"; readonly what: string; readonly hint?: string }
  | { readonly kind: "conflict"; readonly what: string }
  | { readonly kind: "forbidden"; readonly why: string /** A word for counts. */; readonly cause?: string }
  | { readonly kind: "unauthenticated"; readonly why: string }
  | { readonly kind: "unavailable"; readonly what: string }
  /** A server showed another certificate than was expected: no second try would change it. */
  | { readonly kind: "untrusted"; readonly what: string };

/** The one error class of the shell. Its message says what, which one, and what to do. */
export class KodiakError extends Error {
  override readonly name = "KodiakError";
  readonly failure: Failure;

  constructor(failure: Failure, options?: ErrorOptions) {
    super(describeFailure(failure), options);
    this.failure = failure;
  }
}

export const isConflict = (error: unknown): boolean =>
  error instanceof KodiakError && error.failure.kind === "conflict";

export function describeFailure(failure: Failure): string {
  switch (failure.kind) {
    case "invalid":
      return `${failure.what}: ${describeIssues(failure.issues)}`;
    case "not-found":
      return `${failure.what} does not exist${failure.hint === undefined ? "" : `; ${failure.hint}`}`;
    case "conflict":
      return failure.what;
    case "forbidden":
    case "unauthenticated":
      return failure.why;
    case "unavailable":
    case "untrusted":
      return failure.what;
  }
}
