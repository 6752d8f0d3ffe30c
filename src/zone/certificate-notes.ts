// Issued certificates over a restart of the control plane: notes in its store, where the authority's own key lies, too. They
// are no resources: no API shows them and nothing leaves the zone. One that is lost is issued again.

import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import type { WorkloadCertificate } from "#identity/issuer.ts";
import { sha256Hex } from "#lib/hash.ts";
import { isEqual } from "#lib/json.ts";
import type { WantedCertificate } from "#owned/wanted-certificate.ts";
import type { Edit, Store } from "#resources/store.ts";

export interface NotedCertificate {
  readonly wanted: WantedCertificate;
  /** SHA-256 over the PEM of the authority that signed. */
  readonly authority: string;
  readonly leaf: Pick<WorkloadCertificate, "chain" | "privateKey" | "notAfter" | "renewAt">;
  readonly issuedAt: number;
  readonly regenerations: number;
}

export interface CertificateNotes {
  /** What may still be used, of this authority and as wanted. */
  read(key: string, wanted: WantedCertificate, authorityPem: string): NotedCertificate | undefined;
  write(key: string, certificate: Omit<NotedCertificate, "authority">, authorityPem: string): void;
  /** With its Dataplane or egress. */
  end(key: string): void;
  /** Writes what waits. */
  stop(): void;
}

/** Certificates that are issued together are one commit. */
const gatherMs = 100;

const noteKey = (key: string): string => `certificate ${key}`;

export function certificateNotes(store: Store, clock: Clock, log: Log): CertificateNotes {
  const waiting = new Map<string, string | undefined>();
  let cancel: (() => void) | undefined;

  function set(key: string, text: string | undefined): void {
    waiting.set(noteKey(key), text);
    cancel ??= clock.alarm(clock.now() + gatherMs, flush);
  }

  function flush(): void {
    cancel?.();
    cancel = undefined;
    const edits = [...waiting].map(([key, after]): Edit => ({ kind: "note", key, before: store.note(key), after }));
    waiting.clear();
    if (edits.length === 0) return;
    store.write(edits).catch((error: unknown) => {
      log.warn(
        { count: edits.length, error: String(error) },
        "could not keep certificates: a restart issues them again",
      );
    });
  }

  return {
    read(key, wanted, authorityPem) {
      const text = waiting.get(noteKey(key)) ?? store.note(noteKey(key));
      if (text === undefined) return undefined;
      const noted: NotedCertificate = JSON.parse(text);
      const isUsable =
        noted.authority === sha256Hex(authorityPem) &&
        isEqual(noted.wanted, wanted) &&
        noted.leaf.renewAt > clock.now();
      return isUsable ? noted : undefined;
    },
    write(key, { wanted, leaf, issuedAt, regenerations }, authorityPem) {
      const { chain, privateKey, notAfter, renewAt } = leaf;
      const noted: NotedCertificate = {
        ...{ wanted, authority: sha256Hex(authorityPem), issuedAt, regenerations },
        leaf: { chain, privateKey, notAfter, renewAt },
      };
      set(key, JSON.stringify(noted));
    },
    end(key) {
      if (waiting.has(noteKey(key)) || store.note(noteKey(key)) !== undefined) set(key, undefined);
    },
    stop: flush,
  };
}
