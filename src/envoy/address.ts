// Addresses in Envoy's vocabulary.

import type { AddressJson } from "#gen/envoy/config/core/v3/address_pb.ts";
import type { HostPort } from "#lib/address.ts";

export const socketAddress = ({ address, port }: HostPort): AddressJson => ({
  socketAddress: { address, portValue: port },
});
