// What a header must be, as several policies ask it of requests and responses.

import { z } from "zod";
import type { HeaderMatcherJson } from "#gen/envoy/config/route/v3/route_components_pb.ts";
import { at, type Issue } from "#lib/issue.ts";
import { regexIssues } from "#policies/regex.ts";
import { headerName, type SpecOf } from "#policies/schema.ts";

export const headerMatch = z.object({
  type: z.enum(["Exact", "Present", "RegularExpression", "Absent", "Prefix"]).optional(),
  name: headerName,
  value: z.string().optional(),
});
export type HeaderMatch = SpecOf<typeof headerMatch>;

/** What its value must say, besides its shape. */
export function headerMatchIssues({ type, value }: HeaderMatch, path: readonly (string | number)[]): readonly Issue[] {
  const where = [...path, "value"];
  if ((type === "Present" || type === "Absent") && value)
    return [{ path: at(...where), message: `must be left out with type ${type}` }];
  return type === "RegularExpression" ? regexIssues(value ?? "", where) : [];
}

export function headerMatcher({ name, type = "Exact", value = "" }: HeaderMatch): HeaderMatcherJson {
  switch (type) {
    case "Exact":
      return { name, stringMatch: { exact: value } };
    case "RegularExpression":
      return { name, stringMatch: { safeRegex: { regex: value } } };
    case "Prefix":
      // Envoy takes no empty prefix.
      return value === "" ? { name, presentMatch: true } : { name, stringMatch: { prefix: value } };
    case "Present":
      return { name, presentMatch: true };
    case "Absent":
      return { name, presentMatch: true, invertMatch: true };
  }
}
