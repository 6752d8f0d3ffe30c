// Authorities of this zone's own, one for each of a mesh that signs here: global keeps the mesh's key and signs them. Each is kept
// beside the store's resources, lasts for a year and is renewed at half of it, so that certificates are issued without global, too.

import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import type { KeptAuthority } from "#identity/authority.ts";
import type { Credentials } from "#identity/credentials.ts";
import { certificatesIn } from "#identity/pem.ts";
import { certificateIn, intermediateBytes } from "#kds/members.ts";
import { path } from "#kds/wire.ts";
import type { Store } from "#resources/store.ts";

export interface IntermediatesOptions {
  /** A call to global; rejects while it is away. */
  readonly ask: (path: string, request: Uint8Array) => Promise<Uint8Array>;
  readonly credentials: Pick<Credentials, "newSigningRequest" | "certificateOf" | "isUnder">;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** There is one, for a mesh that had none. */
  readonly onArrived: () => void;
  /** Whether the mesh has this backend still. */
  readonly isListed: (mesh: string, backend: string) => boolean;
}

interface Kept {
  /** PEM: its own certificate, then those up to the root. */
  readonly certificate: string;
  readonly privateKey: string;
}

export interface Intermediates {
  /**
   * The zone's authority for a mesh's, whose certificate (PEM) is given. `undefined`: there is none that is valid; it is asked for, and
   * told when it is there.
   */
  under(mesh: string, backend: string, authority: string): KeptAuthority | undefined;
  /** The same without asking for one. */
  held(mesh: string, backend: string, authority: string): KeptAuthority | undefined;
  /** Global is there: what is due is asked for. */
  connected(): void;
  stop(): void;
}

const noteOf = (mesh: string, backend: string): string => `intermediate ${mesh}/${backend}`;
/** While global is there and gives none: twice as long with each refusal. */
const retriesMs = { first: 60_000, most: 3_600_000 };

export function intermediates({
  ask,
  credentials,
  store,
  clock,
  log,
  onArrived,
  isListed,
}: IntermediatesOptions): Intermediates {
  const { newSigningRequest, certificateOf, isUnder } = credentials;
  /** By note: what is due and not here, as there was none or its renewal failed; and what ends the wait for the next attempt. */
  const due = new Map<string, { readonly mesh: string; readonly backend: string; readonly tries: number }>();
  const asking = new Set<string>();
  const renewals = new Map<string, () => void>();

  async function get(mesh: string, backend: string): Promise<void> {
    const note = noteOf(mesh, backend);
    if (asking.has(note)) return;
    asking.add(note);
    try {
      const { request, privateKey } = await newSigningRequest();
      const certificate = certificateIn(await ask(path.intermediate, intermediateBytes({ mesh, backend, request })));
      const after = JSON.stringify({ certificate, privateKey } satisfies Kept);
      await store.write([{ kind: "note", key: note, before: store.note(note), after }]);
      due.delete(note);
      renewAt(mesh, backend, certificateOf(certificate).renewAt);
      log.info({ mesh, backend }, "this zone has a new authority of its own");
      onArrived();
    } catch (error) {
      log.warn({ mesh, backend, why: String(error) }, "global gives this zone no authority of its own yet");
      const { tries = 0 } = due.get(note) ?? {};
      due.set(note, { mesh, backend, tries: tries + 1 });
      renewAt(mesh, backend, clock.now() + Math.min(retriesMs.first * 2 ** tries, retriesMs.most));
    } finally {
      asking.delete(note);
    }
  }

  function renewAt(mesh: string, backend: string, atMs: number): void {
    const note = noteOf(mesh, backend);
    renewals.get(note)?.();
    renewals.set(
      note,
      clock.alarm(atMs, () => {
        if (isListed(mesh, backend)) return void get(mesh, backend);
        renewals.delete(note);
        due.delete(note);
      }),
    );
  }

  function held(mesh: string, backend: string, authority: string): KeptAuthority | undefined {
    const note = noteOf(mesh, backend);
    const text = store.note(note);
    const kept: Kept | undefined = text === undefined ? undefined : JSON.parse(text);
    const isGood =
      kept && isUnder(kept.certificate, authority) && certificateOf(kept.certificate).notAfter > clock.now();
    if (!isGood) return undefined;
    if (!renewals.has(note)) renewAt(mesh, backend, certificateOf(kept.certificate).renewAt);
    const what = `this zone's authority under ${backend} of mesh ${mesh}`;
    return { what, ...kept, trustBundle: certificatesIn(authority).slice(-1) };
  }

  return {
    held,
    under(mesh, backend, authority) {
      const note = noteOf(mesh, backend);
      const found = held(mesh, backend, authority);
      if (found || due.has(note)) return found;
      due.set(note, { mesh, backend, tries: 0 });
      void get(mesh, backend);
      return undefined;
    },
    connected() {
      for (const { mesh, backend } of due.values()) void get(mesh, backend);
    },
    stop() {
      for (const cancel of renewals.values()) cancel();
    },
  };
}
