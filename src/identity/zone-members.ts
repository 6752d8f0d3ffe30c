// Which zones may call global: those that show a certificate that global gave them and has not revoked, and those that are
// named as zones of a Kuma, which has none to show. A zone gets its first certificate for a join token, once.

import type { CallInfo, ClientCertificate, Clock } from "#host/world.ts";
import { requestedKey } from "#identity/certificate.ts";
import type { Credentials } from "#identity/credentials.ts";
import { signIntermediate } from "#identity/intermediate.ts";
import { secretText } from "#identity/secret.ts";
import { signingAuthority } from "#identity/signing-authority.ts";
import { joinTokenKeys, keysInSecrets } from "#identity/signing-key.ts";
import { verifyJoinToken } from "#identity/tokens.ts";
import {
  certificateOf,
  readZoneAuthority,
  signZoneCertificate,
  zoneAuthorityId,
  zoneIn,
} from "#identity/zone-certificate.ts";
import { isConflict, KodiakError } from "#lib/failure.ts";
import { asMesh } from "#resources/mesh.ts";
import type { Store } from "#resources/store.ts";

export interface ZoneMembersOptions {
  readonly store: Store;
  readonly clock: Pick<Clock, "now">;
  /** They may come without a certificate. */
  readonly unauthenticated: readonly string[];
  /** Absent: with real keys. */
  readonly credentials?: Pick<Credentials, "signIntermediate"> | undefined;
}

/** What is kept of a zone's certificates; times are milliseconds since the epoch. */
interface Member {
  /** Those that are still valid: serial → when it ends. */
  readonly issued: Readonly<Record<string, number>>;
  readonly revoked: Readonly<Record<string, number>>;
  /** All that began earlier are revoked, also those that are not known: this store may be an older copy. */
  readonly revokedAt?: number;
}

interface Ask {
  readonly request: string;
  readonly token?: string;
  readonly now: number;
}

export function zoneMembers(options: ZoneMembersOptions) {
  const { store, clock, unauthenticated, credentials = { signIntermediate } } = options;
  return {
    check(zone: string, { client }: CallInfo): void {
      if (client) checkCertificate(zone, client);
      else if (!unauthenticated.includes(zone)) throw denied(noCertificate(zone));
    },

    async certify(zone: string, ask: Ask, { client }: CallInfo, accepted = async () => {}): Promise<string> {
      const { token } = ask;
      if (token !== undefined) await useToken(zone, token, ask, accepted);
      else if (!client) throw denied(noCertificate(zone));
      else {
        checkCertificate(zone, client);
        await accepted();
      }
      const secret = store.get(zoneAuthorityId);
      if (!secret) throw new KodiakError({ kind: "unavailable", what: "global's authority for zones is not made yet" });
      const authority = readZoneAuthority(secretText(secret));
      const certificate = await signZoneCertificate(authority, zone, ask.request, clock.now());
      const { serial, notAfter } = certificateOf(certificate);
      await change(zone, (member) => ({ ...member, issued: { ...member.issued, [serial]: notAfter } }));
      return certificate;
    },

    async intermediate(
      zone: string,
      { mesh, backend, request }: { readonly mesh: string; readonly backend: string; readonly request: string },
      { client }: CallInfo,
    ): Promise<string> {
      if (!client) throw denied(noCertificate(zone));
      checkCertificate(zone, client);
      const resource = store.get({ kind: "Mesh", mesh: "", name: mesh });
      const authority = signingAuthority(store, resource && asMesh(resource), backend);
      if (authority?.privateKey === undefined)
        throw new KodiakError({ kind: "not-found", what: `the authority ${backend} of mesh ${mesh}` });
      const signing = { ...authority, privateKey: authority.privateKey };
      return credentials.signIntermediate(signing, { mesh, zone, request }, clock.now());
    },

    /** All certificates that the zone has: it must join anew. */
    revoke: (zone: string): Promise<void> =>
      change(zone, ({ issued, revoked }) => ({
        issued: {},
        revoked: { ...revoked, ...issued },
        revokedAt: clock.now(),
      })),
  };

  function checkCertificate(zone: string, client: ClientCertificate): void {
    const problem = problemOf(client, clock.now());
    if (problem !== undefined) throw denied(`the certificate of zone "${zone}" ${problem}`);
    const named = zoneIn(client.uris);
    if (named !== zone)
      throw new KodiakError({
        kind: "forbidden",
        why: `a certificate of ${named === undefined ? "no zone" : `zone "${named}"`} can't be used as zone "${zone}"; use the name with which it joined`,
      });
    const { revoked, revokedAt } = memberOf(zone);
    if (Object.hasOwn(revoked, client.serial) || (revokedAt !== undefined && client.notBefore + 1000 <= revokedAt))
      throw denied(`the certificate of zone "${zone}" was revoked at ${time(revokedAt ?? 0)}; ${joinAnew(zone)}`);
  }

  /** One that asks again with the same key has not heard the answer. */
  async function useToken(zone: string, token: string, ask: Ask, accepted: () => Promise<void>): Promise<void> {
    const keys = keysInSecrets(joinTokenKeys, (id) => store.get(id));
    const verified = await verifyJoinToken(token, keys, clock.now());
    if (!verified.ok)
      throw denied(`the join token is not taken: ${verified.reason}${skewOf(ask.now, clock.now())}; ${joinAnew(zone)}`);
    const { zone: named, jti } = verified.claims;
    if (named !== zone)
      throw new KodiakError({
        kind: "forbidden",
        why: `the join token is for zone "${named}", not for zone "${zone}"; ${joinAnew(zone)}`,
      });
    const key = `join token ${jti}`;
    const publicKey = (await requestedKey(ask.request)).export({ type: "spki", format: "der" }).toString("base64");
    await accepted();
    const use = JSON.stringify({ publicKey, at: time(clock.now()) });
    await store.write([{ kind: "note", key, before: undefined, after: use }]).catch((error: unknown) => {
      if (!isConflict(error)) throw error;
      const first: unknown = JSON.parse(store.note(key) ?? "{}");
      const { publicKey: known, at } = first as { publicKey?: string; at?: string };
      if (known !== publicKey) throw denied(`the join token was used before, at ${at}; ${joinAnew(zone)}`);
    });
  }

  function memberOf(zone: string): Member {
    const note = store.note(noteOf(zone));
    return note === undefined ? { issued: {}, revoked: {} } : JSON.parse(note);
  }

  /** What has ended by itself is forgotten. */
  async function change(zone: string, edit: (member: Member) => Member): Promise<void> {
    const before = store.note(noteOf(zone));
    const now = clock.now();
    const lasting = (list: Member["issued"]) =>
      Object.fromEntries(Object.entries(list).filter(([, notAfter]) => notAfter > now));
    const { issued, revoked, ...rest } = edit(memberOf(zone));
    const after = JSON.stringify({ ...rest, issued: lasting(issued), revoked: lasting(revoked) });
    await store.write([{ kind: "note", key: noteOf(zone), before, after }]);
  }
}

const noteOf = (zone: string): string => `member ${zone}`;
const time = (ms: number): string => new Date(ms).toISOString();
const denied = (why: string): KodiakError => new KodiakError({ kind: "unauthenticated", why });
const joinAnew = (zone: string): string =>
  `make another with \`kodiak token join --zone ${zone}\` and start the zone with --join-token`;
const noCertificate = (zone: string): string =>
  `zone "${zone}" shows no certificate: start it with --join-token, from \`kodiak token join --zone ${zone}\`; a zone of a Kuma is let in by --allow-unauthenticated-zones of global`;

/** A peer's clock that is off is a cause that nobody thinks of. */
function skewOf(there: number, here: number): string {
  const offMs = there - here;
  if (Math.abs(offMs) < 5_000) return "";
  return `; the clock of the zone's machine is ${spanOf(Math.abs(offMs))} ${offMs > 0 ? "ahead of" : "behind"} global's`;
}

function problemOf({ problem, notAfter, notBefore }: ClientCertificate, now: number): string | undefined {
  if (problem === "CERT_HAS_EXPIRED" || now > notAfter)
    return `expired ${spanOf(now - notAfter)} ago by global's clock; the zone must join anew with a token`;
  if (problem === "CERT_NOT_YET_VALID" || now + 1000 < notBefore)
    return `is valid only in ${spanOf(notBefore - now)} by global's clock; was that clock set back?`;
  return problem === undefined
    ? undefined
    : `is not of this global control plane (${problem}); the zone must join it with a token of its own`;
}

const units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
] as const;
function spanOf(ms: number): string {
  const [name, size] = units.find(([, size]) => ms >= size) ?? ["s", 1_000];
  return `${Math.round(ms / size)} ${name}`;
}
