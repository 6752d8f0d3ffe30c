// First requests of a stream that no control plane can take, whatever token comes with them.

import type { DeltaDiscoveryRequest } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { withNode } from "./asked-by-hand.ts";
import { dataplane } from "./bootstraps.ts";

export type NodeRow = readonly [what: string, request: DeltaDiscoveryRequest, message: string];

/** `first`: a right one of the Dataplane `web`. */
export function nodes(first: DeltaDiscoveryRequest): readonly NodeRow[] {
  const brought = (resource: object): DeltaDiscoveryRequest =>
    withNode(first, { metadata: { "dataplane.resource": JSON.stringify(resource) } });
  return [
    ["no node", withNode(first, { id: "" }), "the first request of a stream must carry the node with its id"],
    ["a node without a mesh", withNode(first, { id: "web" }), 'the node\'s id must be <mesh>.<name>, not "web"'],
    [
      "the definition of another",
      brought({ ...dataplane, name: "api" }),
      "the node is default/web, but the definition it brings is default/api",
    ],
    [
      "a definition that is no JSON",
      withNode(first, { metadata: { "dataplane.resource": "{" } }),
      "the definition that the proxy brings must be a JSON object",
    ],
    [
      "no definition",
      withNode(first, { metadata: { "dataplane.resource": "" } }),
      'Dataplane "web" does not exist: the proxy must bring its definition, or it must be applied first',
    ],
    [
      "a wrong definition",
      brought({ ...dataplane, networking: {} }),
      'Dataplane "web": networking.address: is required; networking.inbound: must have an item: the port at which the application is reached',
    ],
    [
      "a definition of another zone's",
      brought({ ...dataplane, labels: { "kuma.io/zone": "zone-b" } }),
      'Dataplane "web": labels["kuma.io/zone"]: Dataplane "web" belongs to zone "zone-b", and this is the control plane of zone "zone-a": give the proxy the address of its own zone\'s control plane',
    ],
  ];
}
