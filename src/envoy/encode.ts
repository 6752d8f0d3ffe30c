// The one place where configuration in proto JSON becomes bytes.

import {
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue as ProtoJson,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import type { EnvoyType } from "#discovery/order.ts";
import { ClusterSchema } from "#gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ClusterLoadAssignmentSchema } from "#gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "#gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "#gen/envoy/config/route/v3/route_pb.ts";
import { SecretSchema } from "#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { registry } from "#gen/registry.ts";

const schemaOf: Readonly<Record<EnvoyType, DescMessage>> = {
  cluster: ClusterSchema,
  endpoint: ClusterLoadAssignmentSchema,
  listener: ListenerSchema,
  route: RouteConfigurationSchema,
  secret: SecretSchema,
};

/** Deterministic: equal JSON gives equal bytes. Throws on what does not fit the message, which is a programmer's mistake. */
export const encode = (type: EnvoyType, json: object): Uint8Array<ArrayBuffer> =>
  toBinary(schemaOf[type], fromJson(schemaOf[type], json as ProtoJson, { registry }));

/** For people to read: the proto JSON of encoded configuration. */
export const decode = (type: EnvoyType, bytes: Uint8Array): ProtoJson =>
  toJson(schemaOf[type], fromBinary(schemaOf[type], bytes), { registry });
