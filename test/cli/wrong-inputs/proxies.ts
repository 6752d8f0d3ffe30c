// Proxies that cannot start: what their program finds wrong by itself, and what the control plane refuses them.

import type { Row, Stage } from "./stage.ts";

export const web = `type: Dataplane
mesh: default
name: web
networking:
  address: 127.0.0.1
  inbound:
    - port: 8080
      tags: { kuma.io/service: web }
`;
export const ingress = `type: ZoneIngress
name: in
networking: { address: 127.0.0.1, port: 10001, advertisedAddress: 127.0.0.1, advertisedPort: 10001 }
`;

export function proxies({ dp, global, fingerprint, takenPort, stranger }: Stage): readonly Row[] {
  const certificate = `the certificate of ${dp.zone.replace("https://", "")}`;
  const verb = "run proxy -d web.yaml";
  const trusting = `${verb} --tls-skip-verify`;
  const files = { "web.yaml": web, "in.yaml": ingress, "ca.pem": global.certificate, "text.txt": "no Envoy\n" };
  /** Found in its manifest before anybody is asked. */
  const manifest = (from: string, to: string, err: string): Row => {
    if (!web.includes(from)) throw new Error(`there is no ${from} to change`);
    const text = web.replace(from, to);
    return {
      what: `${from.trim()} → ${to.trim()}`,
      args: trusting,
      files: { "web.yaml": text },
      code: 1,
      err: `error: web.yaml, ${err}\nthe proxy was not started`,
    };
  };
  /** By the zone's control plane, if not told otherwise. */
  const refused = (what: string, given: Omit<Row, "code" | "err" | "what">, err: string): Row => ({
    what,
    ...given,
    env: { KODIAK_TOKEN: "x", ...given.env },
    code: 1,
    err: `error: ${given.env?.KODIAK_CONTROL_PLANE ?? dp.zone} refuses this proxy: ${err}`,
  });
  const elsewhere =
    'belongs to zone "zone-b", and this is the control plane of zone "zone-a": give the proxy the address of its own zone\'s control plane';

  return [
    // Flags.
    {
      args: "run proxy",
      code: 2,
      err: "error: --dataplane: is required (or the variable KODIAK_DATAPLANE): manifest of the proxy: a Dataplane, of an ingress a ZoneIngress, of an egress a ZoneEgress",
    },
    {
      args: "run proxy --tls-skip-verify -d nope.yaml",
      code: 2,
      err: "error: --dataplane: cannot read nope.yaml: there is no such file",
    },
    {
      args: "run proxy --tls-skip-verify -d folder",
      code: 2,
      err: "error: --dataplane: cannot read folder: it is a folder",
    },
    {
      args: `${verb} --control-plane http://z:1`,
      files,
      code: 2,
      err: "error: --control-plane http://z:1: must be like https://zone.example.com:5678",
    },
    {
      args: `${trusting} --token a --token-file text.txt`,
      files,
      code: 2,
      err: "error: give one of --token and --token-file",
    },
    {
      args: `${trusting} --token-file nope`,
      files,
      code: 2,
      err: "error: --token-file: cannot read nope: there is no such file",
    },
    {
      args: `${trusting} --drain-time 30`,
      files,
      code: 2,
      err: 'error: flag --drain-time: must be a duration, like 30s or 1m30s, not "30"',
    },
    {
      args: `${trusting} --work-dir .`,
      files,
      code: 1,
      err: "error: the work folder: .: must be empty: it is removed when the proxy ends",
    },
    {
      args: `${trusting} --readiness-port ${takenPort}`,
      files,
      code: 1,
      err: `error: readiness cannot be served on 127.0.0.1:${takenPort}: the address is in use; stop the other program or choose another port with --readiness-port, 0 for any free one`,
    },

    // Envoy.
    {
      args: `${trusting} --envoy text.txt`,
      files,
      code: 1,
      err: "error: there is no executable Envoy at text.txt, which --envoy names; correct it, or leave it out and `kodiak install envoy` fetches one",
    },
    {
      args: trusting,
      what: "ENVOY_PATH=/nope",
      files,
      env: { ENVOY_PATH: "/nope" },
      code: 1,
      err: "error: there is no executable Envoy at /nope, which ENVOY_PATH names; correct it, or leave it out and `kodiak install envoy` fetches one",
    },
    {
      args: trusting,
      what: "no Envoy anywhere",
      files,
      env: { ENVOY_PATH: "", PATH: "/nope", HOME: "/nope" },
      code: 1,
      err: "error: Envoy was not found: neither ENVOY_PATH nor the PATH names one, and /nope/.cache/kodiak/envoy-1.40.0/envoy does not exist. `kodiak install envoy` fetches it; or install Envoy 1.40.0 and set ENVOY_PATH to it",
    },
    {
      args: `${trusting} --envoy ${process.execPath}`,
      files,
      code: 1,
      err: `error: ${process.execPath} does not answer --version like an Envoy: ${process.version}; give the path of an Envoy`,
    },

    // The certificate of the control plane.
    {
      args: verb,
      files,
      code: 2,
      err: `error: how is the certificate of ${dp.zone} to be checked? Give --ca-cert-file, or --ca-fingerprint with what the control plane prints when it starts; --tls-skip-verify connects to anybody`,
    },
    {
      args: `${verb} --ca-fingerprint ${"AB".repeat(32)}`,
      files,
      code: 1,
      err: `error: cannot reach ${dp.zone}: ${certificate} has fingerprint ${fingerprint}, expected AB${":AB".repeat(31)}; give the one that this server printed when it started, or correct the address`,
    },
    {
      args: `${verb} --ca-cert-file ca.pem`,
      what: "the CA of another",
      files,
      code: 1,
      err: `error: cannot reach ${dp.zone}: ${certificate} is not signed by the given CA; give the CA file of this server, or its fingerprint if it printed ${fingerprint} when it started`,
    },

    {
      what: "a server that is no control plane",
      args: `${trusting} --control-plane ${stranger}`,
      files,
      code: 1,
      err: `error: the answer of ${stranger} to POST /bootstrap: must be a bootstrap; give the address of a zone control plane's port for proxies, 5678`,
    },

    // The manifest.
    manifest("name: web", "name: {{ name }}", "line 3: {{ name }} has no value; give it with --var name=…"),
    manifest(
      "mesh: default",
      "  mesh: default",
      "document 1, line 1, column 7: Nested mappings are not allowed in compact mappings",
    ),
    {
      what: "an empty file",
      args: trusting,
      files: { "web.yaml": "" },
      code: 1,
      err: "error: web.yaml: must hold one Dataplane; it is empty\nthe proxy was not started",
    },
    {
      what: "two of them",
      args: trusting,
      files: { "web.yaml": `${web}---\n${web}` },
      code: 1,
      err: "error: web.yaml: must hold one Dataplane; it holds 2 documents\nthe proxy was not started",
    },
    manifest("type: Dataplane\n", "", "document 1, line 1: type: is required: Dataplane"),
    manifest("type: Dataplane", "type: Mesh", 'document 1, line 1: type: must be Dataplane, not "Mesh"'),
    {
      args: "run proxy --tls-skip-verify -d in.yaml",
      files,
      code: 1,
      err: 'error: in.yaml, document 1, line 1: type: must be Dataplane, not "ZoneIngress"; `kodiak run ingress` takes that one\nthe proxy was not started',
    },
    {
      args: "run ingress --tls-skip-verify -d web.yaml",
      files,
      code: 1,
      err: 'error: web.yaml, document 1, line 1: type: must be ZoneIngress, not "Dataplane"; `kodiak run proxy` takes that one\nthe proxy was not started',
    },
    manifest("name: web\n", "", "document 1, line 1: name: is required"),
    manifest(
      "name: web",
      "name: Web",
      "document 1, line 3: name: must be lower case letters, digits, - and ., beginning and ending with a letter or digit, like backend-1",
    ),
    {
      what: "no networking",
      args: trusting,
      files: { "web.yaml": "type: Dataplane\nname: web\n" },
      code: 1,
      err: "error: web.yaml, document 1, line 1: networking: is required\nthe proxy was not started",
    },
    manifest("  address: 127.0.0.1\n", "", "document 1, line 4: networking.address: is required"),
    manifest(
      "address: 127.0.0.1",
      "adress: 127.0.0.1",
      'document 1, line 5: networking.adress: is not known here; did you mean "address"?',
    ),
    manifest("127.0.0.1", "300.1.1.1", "document 1, line 5: networking.address: must be an IP address or a DNS name"),
    manifest(
      "127.0.0.1",
      "0.0.0.0",
      "document 1, line 5: networking.address: must be an address that others can reach, not 0.0.0.0",
    ),
    manifest(
      "8080",
      "http",
      'document 1, line 7: networking.inbound[0].port: must be a whole number, 0 or more, not "http"',
    ),
    manifest("8080", "99999", "document 1, line 7: networking.inbound[0].port: must be a port, 1 to 65535"),
    manifest(
      "tags: { kuma.io/service: web }",
      "tags: { version: v1 }",
      'document 1, line 8: networking.inbound[0].tags["kuma.io/service"]: is required',
    ),
    manifest(
      "web }",
      "web, version: 1 }",
      'document 1, line 8: networking.inbound[0].tags["version"]: must be a string, not 1; quote it',
    ),
    manifest(
      "web }",
      "web, kuma.io/protocol: htpp }",
      'document 1, line 8: networking.inbound[0].tags["kuma.io/protocol"]: must be one of tcp, http, http2, grpc, kafka, not htpp',
    ),
    manifest(
      "web }",
      "web }\n    - port: 8080\n      tags: { kuma.io/service: api }",
      "document 1, line 9: networking.inbound[1].port: must not be used twice: another inbound has 8080",
    ),

    // What the control plane refuses.
    refused(
      "no such mesh",
      { args: trusting, files: { "web.yaml": web.replace("default", "nomesh") } },
      'mesh: mesh "nomesh" does not exist',
    ),
    refused(
      "a proxy of another zone",
      { args: trusting, files: { "web.yaml": web.replace("web }", "web, kuma.io/zone: zone-b }") } },
      `networking.inbound[0].tags["kuma.io/zone"]: Dataplane "web" ${elsewhere}`,
    ),
    refused(
      "an ingress of another zone",
      { args: "run ingress --tls-skip-verify -d in.yaml", files: { "in.yaml": `${ingress}zone: zone-b\n` } },
      `zone: ZoneIngress "in" ${elsewhere}`,
    ),
    refused(
      "no token",
      { args: trusting, files, env: { KODIAK_TOKEN: "" } },
      "Dataplane Token is required: make one with `kodiak token dataplane` and give it to the proxy as its token file.",
    ),
    refused(
      "no token of an ingress",
      { args: "run ingress --tls-skip-verify -d in.yaml", files, env: { KODIAK_TOKEN: "" } },
      "Zone Token is required: make one with `kodiak token zone --scope ingress` and give it to the proxy as its token file.",
    ),
    refused(
      "a token that is none",
      { args: trusting, files },
      'authentication failed: could not parse token: token is malformed: it must be three base64url texts joined by dots; give Dataplane "web" in mesh "default" a token that `kodiak token dataplane` makes for it, on the global control plane',
    ),
    refused(
      "the global control plane",
      { args: trusting, files, env: { KODIAK_CONTROL_PLANE: dp.global } },
      "this is the global control plane, which serves no proxies: give the address of the zone control plane of the proxy's zone, port 5678, as the control plane's address",
    ),
  ];
}
