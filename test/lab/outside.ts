// Servers outside the mesh.

import { once } from "node:events";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer, type Server } from "node:net";
import type { TLSSocket } from "node:tls";
import { certificateFor } from "#host/certificate-for-test.ts";
import type { Lab } from "./lab.ts";

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
