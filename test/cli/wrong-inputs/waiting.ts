// What does not end the program, as it may come right by itself: a control plane that is away, or is another. It is tried
// again and again, and said once.

import { fingerprintOf } from "#identity/pem.ts";
import { web } from "./proxies.ts";
import type { Given, Stage } from "./stage.ts";

export interface WaitingRow {
  readonly what: string;
  readonly given: Given;
  /** Said at the level `warn` once, though it fails this often. */
  readonly attempts: number;
  readonly msg: string;
  readonly why?: string;
}

export function waiting({ global, zone }: Stage): readonly WaitingRow[] {
  const proxy = (what: string, port: number | undefined, why: string): WaitingRow => ({
    what,
    given: {
      args: `run proxy -d web.yaml --tls-skip-verify --control-plane https://127.0.0.1:${port}`,
      files: { "web.yaml": web },
    },
    attempts: 1,
    msg: `waiting for a bootstrap from the control plane: ${why}`,
  });
  const ports = "--address 127.0.0.1 --dp-port 0 --api-port 0 --api-https-port 0 --diagnostics-port 0";
  const at = `127.0.0.1:${global.kdsPort}`;
  const joining = (what: string, name: string, trust: string, why: string): WaitingRow => ({
    what,
    given: { args: `run zone --name ${name} --global grpcs://${at} ${trust} ${ports} --log-level debug` },
    attempts: 3,
    msg: "no connection to global: it is tried again, and this zone goes on with what is stored",
    why,
  });
  return [
    proxy(
      "no control plane",
      1,
      "cannot reach https://127.0.0.1:1: nothing listens there; start the server or correct the address",
    ),
    proxy(
      "a port that speaks plain HTTP",
      zone.apiPort,
      `cannot reach https://127.0.0.1:${zone.apiPort}: the server does not speak TLS there; check that the port is the right one`,
    ),
    proxy(
      "another port of a control plane",
      zone.apiHttpsPort,
      "it answers 404: it does not know this proxy yet, or it is no zone control plane",
    ),
    joining(
      "a global control plane with another certificate",
      "zone-a",
      `--ca-fingerprint ${"AB".repeat(32)}`,
      `cannot connect to ${at}: the certificate of ${at} has fingerprint ${fingerprintOf(global.certificate)}, expected AB${":AB".repeat(31)}; give the one that this server printed when it started, or correct the address`,
    ),
    joining(
      "a zone that has not joined",
      "zone-z",
      "--tls-skip-verify",
      'zone "zone-z" shows no certificate: start it with --join-token, from `kodiak token join --zone zone-z`; a zone of a Kuma is let in by --allow-unauthenticated-zones of global',
    ),
  ];
}
