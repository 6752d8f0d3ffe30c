// Addresses in Envoy's vocabulary.

import type { AddressJson } from "#gen/envoy/config/core/v3/address_pb.ts";
import type { HostPort } from "#lib/address.ts";

/** A listener inside the same Envoy. `id` tells endpoints with this address apart. */
export const internalAddress = (listener: string, id: string): AddressJson => ({
  envoyInternalAddress: { serverListenerName: listener, endpointId: id },
});

export const socketAddress = ({ address, port }: HostPort): AddressJson => ({
  socketAddress: { address, portValue: port },
});
