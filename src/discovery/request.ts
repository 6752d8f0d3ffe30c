// Discovery requests as events of a subscription. One request may answer a response and change the names at once.

import type { Event } from "#discovery/subscription.ts";
import type { DeltaDiscoveryRequest } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";

/** The fields that are read of a request. */
export type Request = Pick<
  DeltaDiscoveryRequest,
  "resourceNamesSubscribe" | "resourceNamesUnsubscribe" | "initialResourceVersions" | "responseNonce" | "errorDetail"
>;

/** In the order in which they are to be taken in: what the peer no longer wants must not be sent in reply to its ACK. */
export function eventsOf(request: Request): readonly Event[] {
  const { resourceNamesSubscribe: subscribe, resourceNamesUnsubscribe: unsubscribe, responseNonce: nonce } = request;
  const events: Event[] = [];
  if (nonce === "" || subscribe.length + unsubscribe.length > 0) {
    const holds = new Map(Object.entries(request.initialResourceVersions));
    events.push({ kind: "subscribed", subscribe, unsubscribe, holds });
  }
  if (nonce !== "") {
    const reason = request.errorDetail?.message;
    events.push(reason === undefined ? { kind: "ack", nonce } : { kind: "nack", nonce, reason });
  }
  return events;
}
