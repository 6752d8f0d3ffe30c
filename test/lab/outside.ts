// Servers outside the mesh.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer, type Server } from "node:net";
import type { TLSSocket } from "node:tls";
import { certificateFor } from "#host/certificate-for-test.ts";
import { freePort } from "#host/free-port.ts";
import { get } from "./http.ts";
import { eventually, type Lab, type LabGlobal, type LabProxy, type LabZone, post, startProxy } from "./lab.ts";
import { zoneEgress } from "./manifests.ts";

/** On a free port, until the lab ends. */
export async function listening(own: Lab, server: Server, host = "127.0.0.1"): Promise<number> {
  server.listen(0, host);
  await once(server, "listening");
  own.atEnd(async () => {
    server.close();
    if ("closeAllConnections" in server) (server as unknown as { closeAllConnections(): void }).closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** Of a GET; resolves with its text. */
export const answered = (url: string, status: number, says = /./): Promise<string> =>
  eventually(`${status} of ${url}`, 20_000, async () => {
    const got = await get(url);
    assert.equal(got.status, status, got.text);
    assert.match(got.text, says);
    return got.text;
  });

/** Starts egresses, with a token of global's. */
export async function egressStarter(own: Lab, global: LabGlobal) {
  const token = await eventually("a token", 10_000, () =>
    post(global.api, "/tokens/zone", { scope: ["egress"], validFor: "1h" }),
  );
  return async (zone: LabZone, name: string, address: string): Promise<LabProxy> =>
    startProxy(own, zone, zoneEgress(name, address, await freePort(address)), token);
}

/** Says back what it is told. */
export const echoServer = (own: Lab): Promise<number> =>
  listening(
    own,
    createServer((socket) => socket.on("error", () => {}).pipe(socket)),
  );

/** Asks for a certificate, and says who has come, by what was shown, and under which name it was called. */
export async function tlsServer(own: Lab, name: string) {
  const [server, client] = await Promise.all([certificateFor([name]), certificateFor(["the-mesh"])]);
  const options = { cert: server.certificate, key: server.privateKey, ca: client.ca, requestCert: true };
  const answering = createTlsServer(options, (request, response) => {
    const socket = request.socket as TLSSocket;
    const { host } = request.headers;
    response.end(JSON.stringify({ host, sni: socket.servername, client: socket.getPeerCertificate().subjectaltname }));
  });
  return { port: await listening(own, answering), ca: server.ca, client };
}
