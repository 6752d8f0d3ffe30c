// Global may ask a zone for an Envoy's configuration, statistics and clusters (interop 4.9). A zone that has none to give says
// so at once, so that whoever asked does not wait.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  ClustersRequestSchema,
  ClustersResponseSchema,
  StatsRequestSchema,
  StatsResponseSchema,
  XDSConfigRequestSchema,
  XDSConfigResponseSchema,
} from "#gen/kuma/mesh/v1alpha1/kds_pb.ts";
import { path } from "#kds/wire.ts";

const result = { case: "error", value: "this zone control plane does not give out Envoy's data yet" } as const;

/** By path: the answer to a request. */
export const adminAnswers: Readonly<Record<string, (request: Uint8Array) => Uint8Array>> = {
  [path.configDump]: (request) => {
    const { requestId } = fromBinary(XDSConfigRequestSchema, request);
    return toBinary(XDSConfigResponseSchema, create(XDSConfigResponseSchema, { requestId, result }));
  },
  [path.stats]: (request) => {
    const { requestId } = fromBinary(StatsRequestSchema, request);
    return toBinary(StatsResponseSchema, create(StatsResponseSchema, { requestId, result }));
  },
  [path.clusters]: (request) => {
    const { requestId } = fromBinary(ClustersRequestSchema, request);
    return toBinary(ClustersResponseSchema, create(ClustersResponseSchema, { requestId, result }));
  },
};
