// A message inside `google.protobuf.Any`, in proto JSON form.

import type { AnyJson } from "@bufbuild/protobuf/wkt";

/** `any("envoy.….v3.Router", {})` is `{"@type": "type.googleapis.com/envoy.….v3.Router"}`. */
export const any = <T extends object>(typeName: string, message: T): AnyJson => ({
  "@type": `type.googleapis.com/${typeName}`,
  ...message,
});
