// A control plane for tests of the agent: the real port, certificate and bootstrap of a zone, without ADS. What Envoy would get
// over ADS, it reads from a file beside: listeners that lead to an application of the test.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { realWorld } from "#host/real-world.ts";
import type { HttpRequest, HttpResponse, Trust } from "#host/world.ts";
import { loadOrCreateServerCertificate } from "#identity/server-certificate.ts";
import { answerBootstrap } from "#xds/bootstrap-answer.ts";
import { recordingLog } from "./recording-log.ts";

export interface TestControlPlane {
  readonly url: string;
  readonly trust: Trust;
  /** Bodies of the requests to /leave. */
  readonly left: unknown[];
  close(): Promise<void>;
}

/** A listener that leads to an application. */
export interface Way {
  readonly direction: "INBOUND" | "OUTBOUND";
  readonly kind: "http" | "tcp";
  readonly port: number;
  readonly applicationPort: number;
}

export interface TestControlPlaneOptions {
  readonly port?: number;
  readonly ways?: readonly Way[];
  /** Answers in place of the first bootstraps. */
  readonly refusals?: readonly HttpResponse[];
  /** Called before the answer to /leave. */
  readonly onLeave?: () => Promise<void>;
  /** Changes the bootstrap. */
  readonly spoil?: (bootstrap: Record<string, unknown>) => void;
}

export async function testControlPlane(options: TestControlPlaneOptions = {}): Promise<TestControlPlane> {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-test-"));
  const certificate = await loadOrCreateServerCertificate(folder, ["127.0.0.1"], Date.now());
  const listeners = join(folder, "listeners.json");
  const ways = options.ways ?? [];
  await writeFile(listeners, JSON.stringify({ resources: ways.map(listenerOf) }));
  const left: unknown[] = [];
  const refusals = [...(options.refusals ?? [])];
  const listening = await realWorld({ log: recordingLog() }).network.listen({
    host: "127.0.0.1",
    port: options.port ?? 0,
    certificate: certificate.certificate,
    privateKey: certificate.privateKey,
    streams: {},
    http: async (request) => {
      if (request.url === "/leave") {
        await options.onLeave?.();
        left.push({ ...JSON.parse(Buffer.from(request.body).toString()), token: request.headers.authorization?.[0] });
        return { status: 200 };
      }
      return refusals.shift() ?? bootstrapWithoutAds(request);
    },
  });
  return {
    url: `https://127.0.0.1:${listening.port}`,
    trust: { kind: "fingerprint", sha256: certificate.fingerprint },
    left,
    close: async () => {
      await listening.close("the test is over");
      await rm(folder, { recursive: true });
    },
  };

  function bootstrapWithoutAds(request: HttpRequest): HttpResponse {
    const answer = answerBootstrap(request, {
      zone: "zone-a",
      port: listening.port,
      certificate: certificate.certificate,
      find: ({ kind, name }) =>
        kind === "Mesh" && name === "default"
          ? { kind, mesh: "", name, labels: {}, spec: {}, creationTime: "", modificationTime: "" }
          : undefined,
    });
    if (answer.status !== 200) return answer;
    const body = JSON.parse(String(answer.body));
    const bootstrap = parse(Buffer.from(body.bootstrap, "base64").toString());
    bootstrap.dynamicResources = { ldsConfig: { pathConfigSource: { path: listeners }, resourceApiVersion: "V3" } };
    bootstrap.staticResources.clusters.push(...ways.map(clusterOf));
    options.spoil?.(bootstrap);
    return {
      ...answer,
      body: JSON.stringify({ ...body, bootstrap: Buffer.from(stringify(bootstrap)).toString("base64") }),
    };
  }
}

const type = (name: string): string => `type.googleapis.com/envoy.${name}`;
const addressOf = (port: number) => ({ socketAddress: { address: "127.0.0.1", portValue: port } });

const nameOf = ({ direction, kind, port }: Way): string => `${direction}_${kind}_${port}`;

const clusterOf = (way: Way) => ({
  name: nameOf(way),
  connectTimeout: "1s",
  loadAssignment: {
    clusterName: nameOf(way),
    endpoints: [{ lbEndpoints: [{ endpoint: { address: addressOf(way.applicationPort) } }] }],
  },
});

const listenerOf = (way: Way) => ({
  "@type": type("config.listener.v3.Listener"),
  name: nameOf(way),
  address: addressOf(way.port),
  trafficDirection: way.direction,
  enableReusePort: false,
  filterChains: [{ filters: [way.kind === "http" ? httpFilter(way) : tcpFilter(way)] }],
});
const tcpFilter = (way: Way) => ({
  name: "envoy.filters.network.tcp_proxy",
  typedConfig: {
    "@type": type("extensions.filters.network.tcp_proxy.v3.TcpProxy"),
    statPrefix: nameOf(way),
    cluster: nameOf(way),
  },
});
const httpFilter = (way: Way) => ({
  name: "envoy.filters.network.http_connection_manager",
  typedConfig: {
    "@type": type("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
    // Envoy writes the colon as an underscore in its statistics.
    statPrefix: `http:${nameOf(way)}`,
    routeConfig: {
      virtualHosts: [
        { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: nameOf(way) } }] },
      ],
    },
    httpFilters: [
      {
        name: "envoy.filters.http.router",
        typedConfig: { "@type": type("extensions.filters.http.router.v3.Router") },
      },
    ],
  },
});

export interface Application {
  readonly port: number;
  /** Resolves when a request to /slow is there; its answer waits for `finish`. */
  readonly slowRequest: Promise<ServerResponse>;
  close(): void;
}

export async function application(): Promise<Application> {
  const slow = Promise.withResolvers<ServerResponse>();
  const server = createServer((request, response) => {
    if (request.url === "/slow") slow.resolve(response);
    else response.end("here\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    slowRequest: slow.promise,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
