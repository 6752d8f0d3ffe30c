// This zone's certificate, with which it shows global who it is: got once for a join token, kept beside the store's resources, and
// renewed when half of its life has passed. A zone without one, and without a token, comes as stock zones do.

import type { Log } from "#host/log.ts";
import { type Clock, GrpcError, type Identity, type Network, type Target } from "#host/world.ts";
import { newSigningRequest, type SigningRequest } from "#identity/certificate.ts";
import { certificateOf } from "#identity/zone-certificate.ts";
import { type CertificateAsk, certificateBytes, certificateIn, type Membership } from "#kds/members.ts";
import { headersOf, path } from "#kds/wire.ts";
import type { Store } from "#resources/store.ts";

export interface MembershipOptions {
  readonly zone: string;
  readonly version: string;
  readonly target: Target;
  readonly joinToken: string | undefined;
  readonly network: Pick<Network, "dial">;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** There is a new certificate, for the next connection. */
  readonly onRenewed: () => void;
}

const note = "zone certificate";
/** A key for which a certificate was asked: whoever asks again with it has not heard the answer, and the token is good once more. */
const pendingNote = "zone certificate, asked for";
const retryAfterMs = 3_600_000;

export function membership(options: MembershipOptions): Membership & { stop(): void } {
  const { zone, target, joinToken, network, store, clock, log } = options;
  let cancelRenewal = (): void => {};
  let wasRefused = false;
  let isStopped = false;
  const kept = () => parsed<Identity>(store.note(note));
  renewAt(certificateEnd()?.renewAt);

  function certificateEnd() {
    const identity = kept();
    return identity && certificateOf(identity.certificate);
  }

  async function ask(token: string | undefined, identity: Identity | undefined): Promise<void> {
    const pending = parsed<SigningRequest>(store.note(pendingNote)) ?? (await newRequest());
    const connection = network.dial({ ...target, ...(identity && { identity }) });
    try {
      const question: CertificateAsk = {
        request: pending.request,
        now: clock.now(),
        ...(token !== undefined && { token }),
      };
      const call = { headers: headersOf(zone, options.version) };
      await connection.ready;
      const certificate = certificateIn(await connection.unary(path.certificate, certificateBytes(question), call));
      const after = JSON.stringify({ certificate, privateKey: pending.privateKey } satisfies Identity);
      await store.write([
        { kind: "note", key: note, before: store.note(note), after },
        { kind: "note", key: pendingNote, before: store.note(pendingNote), after: undefined },
      ]);
    } catch (error) {
      if (error instanceof GrpcError) throw new Error(error.status.message, { cause: error });
      throw error;
    } finally {
      connection.close();
    }
    wasRefused = false;
    const { notAfter, renewAt: at } = certificateOf(kept()?.certificate ?? "");
    log.info({ zone, until: new Date(notAfter).toISOString() }, "this zone has a new certificate");
    renewAt(at);
  }

  async function newRequest(): Promise<SigningRequest> {
    const pending = await newSigningRequest();
    await store.write([{ kind: "note", key: pendingNote, before: undefined, after: JSON.stringify(pending) }]);
    return pending;
  }

  function renewAt(atMs: number | undefined): void {
    cancelRenewal();
    if (atMs === undefined || isStopped) return;
    cancelRenewal = clock.alarm(atMs, () => void renew());
  }

  async function renew(): Promise<void> {
    try {
      await ask(undefined, kept());
      options.onRenewed();
    } catch (error) {
      log.warn({ why: String(error) }, "this zone's certificate could not be renewed; it is tried again in an hour");
      renewAt(clock.now() + retryAfterMs);
    }
  }

  return {
    identity: kept,
    mustJoin: () => joinToken !== undefined && (wasRefused || (certificateEnd()?.notAfter ?? 0) <= clock.now()),
    refused() {
      wasRefused = true;
    },
    join: () => ask(joinToken, undefined),
    stop() {
      isStopped = true;
      cancelRenewal();
    },
  };
}

const parsed = <T>(text: string | undefined): T | undefined => (text === undefined ? undefined : JSON.parse(text));
