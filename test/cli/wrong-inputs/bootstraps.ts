// What a proxy that is not ours may ask a bootstrap for, with the status and the whole text of the answer.

import type { JsonObject } from "#lib/json.ts";

export const dataplane = {
  type: "Dataplane",
  mesh: "default",
  name: "web",
  networking: { address: "127.0.0.1", inbound: [{ port: 8080, tags: { "kuma.io/service": "web" } }] },
};
const zoneIngress = {
  type: "ZoneIngress",
  name: "in",
  networking: { address: "127.0.0.1", port: 10001, advertisedAddress: "127.0.0.1", advertisedPort: 10001 },
};
/** The token is in a file of the proxy: it is looked at when its stream begins. */
export const asWeb = { mesh: "default", name: "web", dataplaneTokenPath: "token", dataplaneResource: dataplane };
export const asIngress = {
  name: "in",
  proxyType: "ingress",
  dataplaneTokenPath: "token",
  dataplaneResource: zoneIngress,
};

const networked = (change: JsonObject) => ({
  ...asWeb,
  dataplaneResource: { ...dataplane, networking: { ...dataplane.networking, ...change } },
});
const inbound = (change: JsonObject) => networked({ inbound: [{ ...dataplane.networking.inbound[0], ...change }] });
export const bootstraps: readonly (readonly [what: string, body: object, status: number, text: string])[] = [
  [
    "no token",
    { ...asWeb, dataplaneTokenPath: "" },
    422,
    "Dataplane Token is required: make one with `kodiak token dataplane` and give it to the proxy as its token file.",
  ],
  [
    "no token of an ingress",
    { ...asIngress, dataplaneTokenPath: "" },
    422,
    "Zone Token is required: make one with `kodiak token zone --scope ingress` and give it to the proxy as its token file.",
  ],
  [
    "a type of proxy that is none",
    { ...asWeb, proxyType: "gateway" },
    400,
    'proxyType: must be dataplane, ingress or egress, not "gateway"',
  ],
  [
    "an ingress as a dataplane",
    { ...asWeb, dataplaneResource: zoneIngress },
    422,
    "dataplaneResource: must be a Dataplane in JSON or YAML",
  ],
  [
    "no such mesh",
    { ...asWeb, mesh: "nomesh", dataplaneResource: { ...dataplane, mesh: "nomesh" } },
    422,
    'mesh: mesh "nomesh" does not exist',
  ],
  [
    "no networking",
    { ...asWeb, dataplaneResource: { type: "Dataplane", name: "web" } },
    422,
    "networking: is required",
  ],
  ["no name", { ...asWeb, dataplaneResource: { ...dataplane, name: "" } }, 422, "name: is required"],
  [
    "no inbound",
    networked({ inbound: [] }),
    422,
    "networking.inbound: must have an item: the port at which the application is reached",
  ],
  [
    "an address that is none",
    networked({ address: "web_1" }),
    422,
    "networking.address: must be an IP address or a DNS name",
  ],
  ["a port that is none", inbound({ port: 99999 }), 422, "networking.inbound[0].port: must be a port, 1 to 65535"],
  [
    "a text for a port",
    inbound({ port: "http" }),
    422,
    'field Dataplane.Networking.Inbound.port from JSON: expected number (uint32), got "http"',
  ],
  [
    "no service",
    inbound({ tags: { version: "v1" } }),
    422,
    'networking.inbound[0].tags["kuma.io/service"]: is required',
  ],
  [
    "no such protocol",
    inbound({ tags: { "kuma.io/service": "web", "kuma.io/protocol": "htpp" } }),
    422,
    'networking.inbound[0].tags["kuma.io/protocol"]: must be one of tcp, http, http2, grpc, kafka, not htpp',
  ],
  [
    "another zone",
    inbound({ tags: { "kuma.io/service": "web", "kuma.io/zone": "zone-b" } }),
    422,
    'networking.inbound[0].tags["kuma.io/zone"]: Dataplane "web" belongs to zone "zone-b", and this is the control plane of zone "zone-a": give the proxy the address of its own zone\'s control plane',
  ],
];
