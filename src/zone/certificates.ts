// Issues the certificates that this zone's proxies want, and renews each when half of its life has passed. A renewed
// certificate is one changed secret: Envoy takes it for new connections and drops none. A restart of the control plane renews
// nothing: what was issued is noted.

import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import type { Credentials } from "#identity/credentials.ts";
import type { Issuer } from "#identity/issuer.ts";
import { signingAuthority } from "#identity/signing-authority.ts";
import type { Changes, Collection, Source } from "#incremental/collection.ts";
import { isEqual } from "#lib/json.ts";
import type { CertificateStatus } from "#owned/proxy-insight.ts";
import type { WantedCertificate } from "#owned/wanted-certificate.ts";
import type { IssuedCertificate } from "#proxy/secrets.ts";
import type { Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";
import { egressCertificateKey } from "#topology/egress.ts";
import { certificateNotes, type NotedCertificate } from "#zone/certificate-notes.ts";
import type { Intermediates } from "#zone/intermediates.ts";

export interface KeptCertificate extends IssuedCertificate {
  readonly status: CertificateStatus;
}

export interface CertificateOptions {
  readonly wanted: Collection<WantedCertificate>;
  /** Whose certificates go with them. */
  readonly dataplanes: Collection<Resource>;
  readonly egresses: Collection<Resource>;
  /** Where authorities come from; a change of either is looked at. */
  readonly meshes: Collection<Resource<MeshJson>>;
  readonly secrets: Collection<Resource>;
  readonly certificates: Source<KeptCertificate>;
  readonly touch: () => void;
  readonly issuerOf: Credentials["issuerOf"];
  /** For meshes whose authorities are here without their keys. */
  readonly intermediates?: Pick<Intermediates, "under" | "held">;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

interface Issued {
  readonly wanted: WantedCertificate;
  /** PEM of the authority that signed; absent: it could not be issued yet. */
  readonly authority: string | undefined;
  readonly regenerations: number;
  /** Milliseconds since the epoch; never while it is being issued. */
  readonly renewAt: number;
  readonly cancelRenewal: () => void;
}

/** After one that failed. */
const againAfterMs = 60_000;

const base64 = (text: string): string => Buffer.from(text).toString("base64");

export function certificateKeeper(options: CertificateOptions) {
  const {
    wanted,
    dataplanes,
    egresses,
    meshes,
    secrets,
    certificates,
    touch,
    issuerOf,
    intermediates,
    store,
    clock,
    log,
  } = options;
  const issued = new Map<string, Issued>();
  const notes = certificateNotes(store, clock, log);
  const issuers = new Map<string, { readonly certificate: string; readonly issuer: Issuer }>();

  /**
   * `undefined` until the authority is there. While this zone has none under the backend that is wanted, another of the mesh under which it
   * has one goes on: what all trusted before is on the list until nobody needs it (decision 14).
   */
  function issuerFor({ mesh, backend }: WantedCertificate) {
    const wanted = issuerUnder(mesh, backend, intermediates?.under);
    if (wanted || !intermediates) return wanted;
    for (const { name = "" } of meshes.get(mesh)?.spec.mtls?.backends ?? []) {
      const other = name === backend ? undefined : issuerUnder(mesh, name, intermediates.held);
      if (other) return other;
    }
    return undefined;
  }

  /** Leaves of an earlier intermediate are as good as those of its successor. */
  function issuerUnder(mesh: string, backend: string, intermediate: Intermediates["under"] | undefined) {
    const root = signingAuthority(store, meshes.get(mesh), backend);
    if (!root) return undefined;
    const { privateKey } = root;
    const authority =
      privateKey === undefined ? intermediate?.(mesh, backend, root.certificate) : { ...root, privateKey };
    if (!authority) return undefined;
    const known = issuers.get(`${mesh}/${backend}`);
    const isKnown = known?.certificate === authority.certificate;
    const { issuer } = isKnown ? known : { issuer: issuerOf(authority) };
    issuers.set(`${mesh}/${backend}`, { certificate: authority.certificate, issuer });
    return { backend, certificate: root.certificate, issuer };
  }

  /** For many at once: who signs is the same for all of a mesh, and costs parsing certificates. */
  function issuerForEach(): typeof issuerFor {
    const found = new Map<string, ReturnType<typeof issuerFor>>();
    return (one) => {
      const key = `${one.mesh}/${one.backend}`;
      if (!found.has(key)) found.set(key, issuerFor(one));
      return found.get(key);
    };
  }

  async function issue(key: string, isRenewal: boolean, issuerOfMesh: typeof issuerFor): Promise<void> {
    const asked = wanted.get(key);
    const before = issued.get(key);
    if (!asked) return withdraw(key);
    const authority = issuerOfMesh(asked);
    if (!authority) return;
    const now = { ...asked, backend: authority.backend };
    const isCurrent = before?.authority === authority.certificate && isEqual(before.wanted, now);
    // One may be due for long: there was no authority when its time came.
    if (isCurrent && !isRenewal && before.renewAt > clock.now()) return;
    before?.cancelRenewal();
    const regenerations = (before?.regenerations ?? 0) + 1;
    const mark: Issued = {
      ...{ wanted: now, authority: authority.certificate, regenerations },
      ...{ renewAt: Number.POSITIVE_INFINITY, cancelRenewal: () => {} },
    };
    issued.set(key, mark);
    try {
      const kept = before?.authority ? undefined : notes.read(key, now, authority.certificate);
      if (kept) return use(key, mark, kept);
      const leaf = await authority.issuer.issue(now, clock.now(), now.validityMs);
      // Something newer has been wanted meanwhile.
      if (issued.get(key) !== mark) return;
      const made = { wanted: now, leaf, issuedAt: clock.now(), regenerations };
      notes.write(key, made, authority.certificate);
      use(key, mark, made);
    } catch (error) {
      if (issued.get(key) === mark) failed(key, before ?? { ...mark, authority: undefined, regenerations: 0 });
      throw error;
    }
  }

  /** What there was goes on. */
  function failed(key: string, before: Issued): void {
    const cancelRenewal = clock.alarm(clock.now() + againAfterMs, () => void tryIssue(key, true));
    issued.set(key, { ...before, renewAt: clock.now(), cancelRenewal });
  }

  function use(key: string, mark: Issued, certificate: Omit<NotedCertificate, "authority">): void {
    const { wanted, leaf, issuedAt, regenerations } = certificate;
    const cancelRenewal = clock.alarm(leaf.renewAt, () => void tryIssue(key, true));
    issued.set(key, { ...mark, regenerations, renewAt: leaf.renewAt, cancelRenewal });
    certificates.set(key, {
      mesh: wanted.mesh,
      chain: base64(leaf.chain),
      privateKey: base64(leaf.privateKey),
      status: { backend: wanted.backend, expiresAt: leaf.notAfter, issuedAt, regenerations },
    });
    touch();
  }

  function withdraw(key: string): void {
    issued.get(key)?.cancelRenewal();
    if (!issued.delete(key)) return;
    certificates.set(key, undefined);
    touch();
  }

  async function tryIssue(key: string, isRenewal: boolean, issuerOfMesh = issuerFor): Promise<void> {
    try {
      await issue(key, isRenewal, issuerOfMesh);
    } catch (error) {
      log.error({ proxy: key, error: String(error) }, "could not issue a certificate");
    }
  }

  function issueAll(keys: Iterable<string>): void {
    const issuerOfMesh = issuerForEach();
    for (const key of [...keys]) void tryIssue(key, false, issuerOfMesh);
  }

  return {
    /** An intermediate has come. */
    again(): void {
      issueAll(wanted.keys());
    },
    publish(changes: Changes): void {
      const keys = changes.has(meshes) || changes.has(secrets) ? wanted.keys() : (changes.get(wanted) ?? []);
      issueAll(keys);
      for (const key of changes.get(dataplanes) ?? []) if (!dataplanes.get(key)) notes.end(key);
      // An egress has one for each mesh, as long as it is wanted; the second is for those that have not come back since a start.
      for (const key of changes.get(wanted) ?? []) if (!wanted.get(key) && !dataplanes.get(key)) notes.end(key);
      for (const name of changes.get(egresses) ?? [])
        if (!egresses.get(name)) for (const mesh of meshes.keys()) notes.end(egressCertificateKey(name, mesh));
    },
    stop(): void {
      notes.stop();
      for (const { cancelRenewal } of issued.values()) cancelRenewal();
    },
  };
}
