// What a MeshExternalService says of its server is what the egress does: whom it takes it for, with which TLS, in which protocol.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createTlsServer } from "node:https";
import { connect } from "node:net";
import { test } from "node:test";
import { createServer as createBareTlsServer, type SecureVersion, type TLSSocket } from "node:tls";
import { ChannelCredentials, Client, Server, ServerCredentials } from "@grpc/grpc-js";
import { certificateFor } from "#host/certificate-for-test.ts";
import { freePort } from "#host/free-port.ts";
import { get, startApp } from "../lab/http.ts";
import { eventually, lab, post, put, startProxy, startZone } from "../lab/lab.ts";
import { allowAll, dataplane, mesh, zoneEgress } from "../lab/manifests.ts";
import { listening } from "../lab/outside.ts";

interface Row {
  readonly name: string;
  readonly protocol?: string;
  readonly port: number;
  /** Of servers that are used when that is out of order, the most preferred first. */
  readonly others?: readonly number[];
  readonly tls?: { readonly version?: object; readonly verification: object };
  /** What the server has seen; absent: it is not spoken to. */
  readonly says: RegExp | undefined;
}

test("a MeshExternalService's server is spoken to as it says", async (t) => {
  const own = await lab(t);
  const [server, { ca: stranger }] = await Promise.all([
    certificateFor(["api.example.com"]),
    certificateFor(["other"]),
  ]);
  const identity = { cert: server.certificate, key: server.privateKey };
  const tlsServer = (versions: { minVersion?: SecureVersion; maxVersion?: SecureVersion }) =>
    listening(
      own,
      createTlsServer({ ...identity, ...versions }, ({ socket }, response) => {
        response.end((socket as TLSSocket).getProtocol() ?? "");
      }),
    );
  const http2 = createHttp2Server((request, response) => response.end(`HTTP/${request.httpVersion}`));
  const greeting = createBareTlsServer(identity, (socket) => socket.on("error", () => {}).end("hello over TLS"));
  const [both, old, young, h2, bare] = await Promise.all([
    tlsServer({}),
    tlsServer({ maxVersion: "TLSv1.2" }),
    tlsServer({ minVersion: "TLSv1.3" }),
    listening(own, http2),
    listening(own, greeting),
  ]);
  const asIs = (bytes: Buffer) => bytes;
  const double = {
    ...{ path: "/test.Talk/Double", requestStream: false, responseStream: false },
    ...{ requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs },
  };
  const grpc = new Server();
  grpc.addService(
    { double },
    {
      double: ({ request }: { request: Buffer }, reply: (error: null, value: Buffer) => void) =>
        reply(null, Buffer.concat([request, request])),
    },
  );
  own.atEnd(async () => grpc.forceShutdown());
  const grpcPort = await new Promise<number>((bound, failed) =>
    grpc.bindAsync(
      "127.0.0.1:0",
      ServerCredentials.createSsl(null, [
        { private_key: Buffer.from(identity.key), cert_chain: Buffer.from(identity.cert) },
      ]),
      (error, port) => (error ? failed(error) : bound(port)),
    ),
  );

  const known = { caCert: { inlineString: server.ca } };
  const unknown = { caCert: { inlineString: stranger } };
  const right = { serverName: "api.example.com" };
  const wrong = { serverName: "other.example.com" };
  const verified = (name: string, verification: object, says: RegExp | undefined): Row => ({
    ...{ name, port: both, tls: { verification }, says },
  });
  const versioned = (name: string, port: number, version: object, says: RegExp | undefined): Row => ({
    ...{ name, port, tls: { version, verification: { ...known, ...right } }, says },
  });
  const nobody = await freePort();
  const spoken = /^TLSv1\.3$/;
  const refused = undefined;
  const rows: readonly Row[] = [
    verified("secured", { mode: "Secured", ...known, ...right }, spoken),
    verified("secured-name", { mode: "Secured", ...known, ...wrong }, refused),
    verified("secured-ca", { mode: "Secured", ...unknown, ...right }, refused),
    verified("secured-machine", { mode: "Secured", ...right }, refused),
    verified("skip-san", { mode: "SkipSAN", ...known, ...wrong }, spoken),
    verified("skip-san-ca", { mode: "SkipSAN", ...unknown, ...right }, refused),
    verified("skip-ca", { mode: "SkipCA", ...unknown, ...right }, spoken),
    verified("skip-all", { mode: "SkipAll", ...unknown, ...wrong }, spoken),
    versioned("auto", both, { min: "TLSAuto", max: "TLSAuto" }, /^TLSv1\.3$/),
    versioned("max-12", both, { max: "TLS12" }, /^TLSv1\.2$/),
    versioned("min-13", both, { min: "TLS13" }, /^TLSv1\.3$/),
    versioned("only-12", both, { min: "TLS12", max: "TLS12" }, /^TLSv1\.2$/),
    versioned("old", old, {}, /^TLSv1\.2$/),
    versioned("old-min-13", old, { min: "TLS13" }, undefined),
    versioned("young-max-12", young, { max: "TLS12" }, undefined),
    { name: "http2", protocol: "http2", port: h2, says: /^HTTP\/2\.0$/ },
    { name: "preferred", protocol: "http2", port: h2, others: [nobody], says: /^HTTP\/2\.0$/ },
    { name: "second", protocol: "http2", port: nobody, others: [h2, nobody], says: /^HTTP\/2\.0$/ },
  ];
  const tcp: Row = {
    name: "tcp",
    protocol: "tcp",
    port: bare,
    tls: { verification: { ...known, ...right } },
    says: /./,
  };
  const rpc: Row = { name: "grpc", protocol: "grpc", port: grpcPort, tls: tcp.tls!, says: /./ };

  const zone = await startZone(own, "zone-a");
  await put(zone.api, "/meshes/default", mesh("default"));
  await put(zone.api, "/meshes/default/meshtrafficpermissions/allow-all", allowAll("default"));
  const ports = new Map<string, number>();
  for (const { name, protocol = "http", port, others = [], tls } of [...rows, tcp, rpc]) {
    await put(zone.api, `/meshes/default/meshexternalservices/${name}`, {
      ...{ type: "MeshExternalService", mesh: "default", name },
      spec: {
        match: { port: 9000, protocol },
        endpoints: [port, ...others].map((at, priority) => ({ address: "127.0.0.1", port: at, priority })),
        ...(tls && { tls: { enabled: true, ...tls } }),
      },
    });
    ports.set(name, await freePort());
  }
  const token = await post(zone.api, "/tokens/zone", { zone: "zone-a", scope: ["egress"], validFor: "1h" });
  const egress = await startProxy(own, zone, zoneEgress("egress-1", "127.0.0.8", await freePort("127.0.0.8")), token);
  const app = await startApp("frontend");
  own.atEnd(() => app.close());
  // An outbound stands for the redirect, by the name that stands for the service.
  const outbounds = Object.fromEntries([...ports].map(([name, port]) => [port, `default_${name}__zone-a_extsvc_9000`]));
  const at = { address: "127.0.0.6", port: await freePort("127.0.0.6"), appPort: app.port };
  const frontend = dataplane({ mesh: "default", name: "frontend", service: "frontend", ...at, outbounds });
  await startProxy(own, zone, frontend, await zone.tokenFor("default"));

  /** TLS that failed on the way to the server. */
  const failures = async (name: string): Promise<number> => {
    const counters = "ssl.(fail_verify_san|fail_verify_error|connection_error)";
    const text = await egress.admin(`/stats?filter=^cluster.default_${name}__zone-a_extsvc_9000.${counters}$`);
    return [...text.matchAll(/: (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  };
  for (const { name, says } of rows)
    await t.test(name, () =>
      eventually(says ? String(says) : "a refusal", 20_000, async () => {
        const { status, text } = await get(`http://127.0.0.1:${ports.get(name)}/`);
        assert.equal(status, says ? 200 : 503, text);
        if (says) assert.match(text, says);
        assert.equal((await failures(name)) > 0, says === undefined);
      }),
    );

  await t.test("tcp, in TLS", () =>
    eventually("a greeting", 20_000, async () => {
      const socket = connect(ports.get("tcp")!, "127.0.0.1");
      try {
        const [said] = await once(socket, "data", { signal: AbortSignal.timeout(1_000) });
        assert.equal(String(said), "hello over TLS");
      } finally {
        socket.destroy();
      }
    }),
  );

  await t.test("grpc, in TLS", async () => {
    const client = new Client(`127.0.0.1:${ports.get("grpc")}`, ChannelCredentials.createInsecure());
    own.atEnd(async () => client.close());
    const call = (request: Buffer) =>
      new Promise<Buffer | undefined>((answered, failed) =>
        client.makeUnaryRequest(double.path, asIs, asIs, request, (error, value) =>
          error ? failed(error) : answered(value),
        ),
      );
    const answer = await eventually("an answer", 20_000, () => call(Buffer.from("ab")));
    assert.equal(String(answer), "abab");
  });
});
