// `kodiak run proxy`, `kodiak run ingress` and `kodiak run egress`: Envoy with what it needs beside it.

import { resolverAt } from "#agent/dns.ts";
import { findEnvoy } from "#agent/envoy-binary.ts";
import type { Redirect } from "#agent/redirect.ts";
import { runProxy } from "#agent/run-proxy.ts";
import { stopSignals } from "#agent/stop-signals.ts";
import { logSettings, openLogOf } from "#cli/control-plane.ts";
import { refuse } from "#cli/document-issues.ts";
import { manifestIn, type ProxyKind } from "#cli/manifest.ts";
import type { Terminal } from "#cli/terminal.ts";
import { requiredTrust, textOf, trustSettings } from "#cli/trust.ts";
import { defineVerb, Usage } from "#cli/verb.ts";
import { version } from "#cli/version.ts";
import type { Schema, Settings } from "#host/settings.ts";
import { asDataplane } from "#resources/dataplane.ts";
import type { Resource } from "#resources/resource.ts";

const settings = {
  controlPlane: {
    type: "string",
    value: "https://host:port",
    help: "the control plane of this proxy's zone",
    default: "https://localhost:5678",
  },
  ...trustSettings,
  dataplane: {
    type: "file",
    short: "d",
    help: "manifest of the proxy: a Dataplane, of an ingress a ZoneIngress, of an egress a ZoneEgress",
    required: true,
  },
  var: { type: "map", value: "name=value", help: "value for `{{ name }}` in the manifest; may be repeated" },
  token: { type: "string", help: "the token itself; rather use --token-file", secret: true },
  tokenFile: { type: "file", help: "file with the token with which the proxy comes to its control plane" },
  envoy: { type: "file", help: "Envoy's binary (default: ENVOY_PATH, the PATH, the cache of `kodiak install envoy`)" },
  envoyLogLevel: {
    type: "string",
    help: "Envoy's own log level",
    choices: ["trace", "debug", "info", "warning", "error", "critical", "off"],
    default: "warning",
  },
  concurrency: { type: "integer", min: 1, help: "Envoy's worker threads (default: one for each processor)" },
  drainTime: {
    type: "duration",
    help: "how long stopping may take: until others know, at most two thirds of it, then for requests under way; an ingress gives connections 1s",
    default: "30s",
  },
  readinessPort: { type: "integer", min: 0, max: 65535, help: "port of GET /ready on 127.0.0.1", default: 9902 },
  workDir: {
    type: "string",
    value: "folder",
    help: "empty folder for Envoy's bootstrap and sockets, removed at the end (default: a temporary one)",
  },
  ...logSettings,
} as const satisfies Schema;

const proxySettings = {
  ...settings,
  transparentProxy: {
    type: "boolean",
    help: "the machine redirects the application's connections and DNS to this proxy, which then answers the names of the mesh; without it as networking.transparentProxying of the manifest says",
  },
  redirectInboundPort: {
    type: "integer",
    min: 0,
    max: 65535,
    help: "where connections to the application come in; 0: they are not redirected",
    default: 15006,
  },
  redirectOutboundPort: {
    type: "integer",
    min: 1,
    max: 65535,
    help: "where connections of the application come in",
    default: 15001,
  },
  dnsPort: {
    type: "integer",
    min: 0,
    max: 65535,
    help: "port on 127.0.0.1 and [::1] where DNS is answered, over UDP and TCP",
    default: 15053,
  },
  dnsResolver: {
    type: "list",
    value: "address[:port]",
    help: "resolver for names that are not the mesh's; may be repeated (default: those in /etc/resolv.conf)",
  },
} as const satisfies Schema;

export const runProxyVerb = defineVerb({
  name: "run proxy",
  summary: "run a data plane proxy: Envoy beside an application",
  settings: proxySettings,
  examples: [
    "kodiak run proxy --dataplane web.yaml --token-file web.token --ca-cert-file zone-ca.pem",
    "kodiak run proxy -d web.yaml --var address=10.0.0.7 --token-file web.token --ca-fingerprint 3A:…",
  ],
  run: (values, _args, terminal) => run("Dataplane", values, terminal, (resource) => redirectOf(values, resource)),
});

export const runIngressVerb = defineVerb({
  name: "run ingress",
  summary: "run a zone ingress: Envoy that takes the traffic of other zones",
  settings,
  examples: ["kodiak run ingress --dataplane ingress.yaml --token-file ingress.token --ca-cert-file zone-ca.pem"],
  run: (values, _args, terminal) => run("ZoneIngress", values, terminal, () => undefined),
});

export const runEgressVerb = defineVerb({
  name: "run egress",
  summary: "run a zone egress: Envoy that takes the traffic of this zone for other zones",
  settings,
  examples: ["kodiak run egress --dataplane egress.yaml --token-file egress.token --ca-cert-file zone-ca.pem"],
  run: (values, _args, terminal) => run("ZoneEgress", values, terminal, () => undefined),
});

async function run(
  kind: ProxyKind,
  values: Settings<typeof settings>,
  terminal: Terminal,
  redirectFor: (resource: Resource) => Redirect | undefined,
): Promise<number> {
  const { controlPlane: url, dataplane, tokenFile, concurrency, readinessPort, workDir, envoyLogLevel } = values;
  if (!URL.canParse(url) || new URL(url).protocol !== "https:")
    throw new Usage(`--control-plane ${url}: must be like https://zone.example.com:5678`);
  if (values.token !== undefined && tokenFile !== undefined) throw new Usage("give one of --token and --token-file");
  const token = tokenFile === undefined ? values.token : textOf(tokenFile, "--token-file").trim();
  const file = { name: dataplane, text: textOf(dataplane, "--dataplane") };
  const trust = requiredTrust(values, url);
  const manifest = manifestIn(file, kind, values.var ?? {});
  if (manifest.kind === "refused") return refuse(terminal, manifest.problems, "the proxy was not started");
  return runProxy(
    {
      resource: manifest.resource,
      controlPlane: { url, trust, token },
      envoyPath: await findEnvoy(process.env, values.envoy),
      envoyLogLevel,
      concurrency,
      drainTimeMs: values.drainTime,
      readinessPort,
      workDir,
      redirect: redirectFor(manifest.resource),
      version,
    },
    openLogOf(values).log,
    stopSignals(),
  );
}

/** What is said here goes before what the manifest says; `undefined`: nothing is redirected. */
function redirectOf(values: Settings<typeof proxySettings>, resource: Resource): Redirect | undefined {
  const { transparentProxy, redirectInboundPort, redirectOutboundPort, dnsPort, dnsResolver } = values;
  const said = asDataplane(resource).spec.networking?.transparentProxying;
  const inboundPort = transparentProxy ? redirectInboundPort : (said?.redirectPortInbound ?? 0);
  const outboundPort = transparentProxy ? redirectOutboundPort : (said?.redirectPortOutbound ?? 0);
  if (outboundPort === 0) return undefined;
  const resolvers = dnsResolver?.map((text) => {
    const at = resolverAt(text);
    if (!at) throw new Usage(`--dns-resolver ${text}: must be like 10.0.0.2 or [fd00::2]:5353`);
    return at;
  });
  return { inboundPort, outboundPort, dnsPort, resolvers };
}
