// A proxy to which the machine redirects an application's traffic: what the control plane is told of it, and DNS beside Envoy.

import { networkInterfaces } from "node:os";
import { serveDns } from "#agent/dns.ts";
import { machineResolvers } from "#agent/resolvers.ts";
import { freePort } from "#host/free-port.ts";
import type { Log } from "#host/log.ts";
import { type HostPort, hostPortText } from "#lib/address.ts";
import type { JsonObject } from "#lib/json.ts";

export interface Redirect {
  /** Where connections to the application come in; 0: they are not redirected. */
  readonly inboundPort: number;
  readonly outboundPort: number;
  /** Where DNS is answered, on 127.0.0.1 and [::1]; 0: a free one. */
  readonly dnsPort: number;
  /** For names that are not the mesh's; absent: this machine's, as they are at the time. */
  readonly resolvers?: readonly HostPort[] | undefined;
}

export interface Names {
  readonly port: number;
  /** Of Envoy's own DNS listener. */
  readonly envoyPort: number;
  close(): void;
}

/** Rejects with `unavailable` where the port is taken. */
export async function serveNames({ dnsPort, resolvers }: Redirect, log: Log): Promise<Names> {
  // Envoy listens there later, and again when it was restarted: none that the kernel may have given to somebody meanwhile.
  const envoyPort = await freePort("127.0.0.1", "udp");
  const machine = resolvers ? undefined : machineResolvers(log);
  const asked = (): readonly HostPort[] => resolvers ?? machine?.current() ?? [];
  try {
    const { port, hosts, close } = await serveDns({ port: dnsPort, envoyPort, resolvers: asked }, log);
    log.info({ dns: hosts.map((address) => hostPortText({ address, port })) }, "names of the mesh are answered");
    return {
      ...{ port, envoyPort },
      close() {
        close();
        machine?.close();
      },
    };
  } catch (error) {
    machine?.close();
    throw error;
  }
}

/** With it the control plane reads what `redirectMembers` says (interop 6.5). */
export const redirectFeature = "feature-transparent-proxy-in-dataplane-metadata";

/** Of the request for a bootstrap (interop 6.2). */
export function redirectMembers({ inboundPort, outboundPort }: Redirect, { envoyPort }: Names): JsonObject {
  const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === "IPv6"));
  const at = (port: number): JsonObject => ({ enabled: port !== 0, port });
  return {
    dnsPort: envoyPort,
    dataplaneConfig: {
      ipFamilyMode: hasIpv6 ? "dualstack" : "ipv4",
      redirect: { inbound: at(inboundPort), outbound: at(outboundPort), dns: at(envoyPort), vnet: {} },
    },
  };
}
