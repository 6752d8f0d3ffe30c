// Headers that are set or added, as Envoy's options.

import type { HeaderValueOptionJson } from "#gen/envoy/config/core/v3/base_pb.ts";

interface Header {
  readonly name: string;
  readonly value: string;
}
export interface HeaderChange {
  readonly set?: readonly Header[] | undefined;
  readonly add?: readonly Header[] | undefined;
}

export const headerOptions = ({ set = [], add = [] }: HeaderChange = {}): HeaderValueOptionJson[] => [
  ...set.map((header): HeaderValueOptionJson => ({ ...option(header), appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" })),
  ...add.map(option),
];

/** A value is meant as it stands: Envoy would read `%…%` in it as a command. */
const option = ({ name, value }: Header): HeaderValueOptionJson => ({
  header: { key: name, value: value.replaceAll("%", "%%") },
  ...(value === "" && { keepEmptyValue: true }),
});
