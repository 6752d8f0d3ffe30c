// Tokens that a zone's control plane takes from nobody, and what it says of each.

import { createHmac, createPublicKey } from "node:crypto";
import { SignJWT } from "jose";
import {
  createSigningKey,
  dataplaneTokenKeys,
  latestSigningKey,
  readSigningKey,
  type SigningKey,
} from "#identity/signing-key.ts";
import { issueDataplaneToken, issueZoneToken } from "#identity/tokens.ts";
import { eventually, put } from "../../lab/lab.ts";
import type { Stage } from "./stage.ts";

const hour = 3_600_000;
export type TokenRow = readonly [what: string, token: string, why: string];

export interface Tokens {
  /** Of the Dataplane `web` of mesh `default`, and of the ZoneIngress `in` of zone-a. */
  readonly forWeb: readonly TokenRow[];
  readonly forIngress: readonly TokenRow[];
  readonly right: { readonly web: string; readonly ingress: string };
}

export async function tokens({ zone, global }: Stage): Promise<Tokens> {
  await revoke(zone, "dataplane-token-revocations-default");
  // Zones take it from global.
  await revoke(global, "zone-token-revocations");
  await eventually("revoked in the zone, too", 10_000, async () => {
    if (!zone.store.get({ kind: "GlobalSecret", mesh: "", name: "zone-token-revocations" })) throw new Error("not yet");
  });
  const keyOf = (mesh: string): SigningKey => latestSigningKey(dataplaneTokenKeys(mesh), global.store.list("Secret"))!;
  const own = keyOf("default");
  const secret = await (await fetch(`${global.api}/global-secrets/zone-token-signing-key-1`)).json();
  const ofZones = keyIn(Buffer.from(String(Reflect.get(Object(secret), "data")), "base64"));
  const stranger = keyIn(Buffer.from(await createSigningKey()));

  const issued = { now: Date.now(), validForMs: hour, tokenId: "a-test" };
  const nothing = { name: "", mesh: "", tags: {}, type: "", workload: "" };
  const dataplane = (claims: object, key = own, now = issued.now) =>
    issueDataplaneToken({ ...nothing, mesh: "default", ...claims }, key, { ...issued, now });
  const ingress = (claims: object, key = ofZones, now = issued.now) =>
    issueZoneToken({ zone: "", scope: ["ingress"], ...claims }, key, { ...issued, now });

  const text = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = text({ Name: "web", Mesh: "default" });
  const unsigned = `${text({ alg: "none", kid: "1", typ: "JWT" })}.${claims}.`;
  const symmetric = `${text({ alg: "HS256", kid: "1", typ: "JWT" })}.${claims}`;
  // The key is no secret: whoever has its public half could sign with it as a secret.
  const publicHalf = createPublicKey(own.privateKey).export({ type: "pkcs1", format: "pem" });
  const byHmac = `${symmetric}.${createHmac("sha256", publicHalf).update(symmetric).digest("base64url")}`;
  const withHeader = (header: object) =>
    new SignJWT({ Name: "web", Mesh: "default" })
      .setProtectedHeader({ alg: "RS256", kid: "1", ...header })
      .sign(stranger.privateKey);
  const issuedAs = (tokenId: string) => ({ ...issued, tokenId });
  const withoutKid = await new SignJWT({}).setProtectedHeader({ alg: "RS256" }).sign(own.privateKey);
  const long = Date.UTC(2020, 0);
  const ahead = Date.UTC(2100, 0);

  const ofMesh = 'Secret of name "dataplane-token-signing-key-default-1" in mesh "default"';
  const ofZone = 'GlobalSecret of name "zone-token-signing-public-key-1"';
  const malformed = "could not parse token: token is malformed: it must be three base64url texts joined by dots";
  const foreign = "could not parse token: token signature is invalid: it was not signed by";
  const expired = "could not parse token: token has invalid claims: token is expired, since 2020-01-01T01:00:00.000Z";
  return {
    forWeb: [
      ["none", "", "could not parse token: there is no token"],
      ["no token at all", "hunter2", malformed],
      ["with the scheme's name before it", `Bearer ${await dataplane({})}`, malformed],
      ["alg: none", unsigned, 'could not parse token: token is signed with "none": the algorithm must be RS256'],
      [
        "a symmetric algorithm",
        byHmac,
        'could not parse token: token is signed with "HS256": the algorithm must be RS256',
      ],
      ["no kid", withoutKid, "could not parse token: token is unverifiable: JWT token must have kid header"],
      [
        "an unknown key",
        await dataplane({}, { ...own, kid: "9" }),
        'there is no signing key with KID 9. Secret of name "dataplane-token-signing-key-default-9" in mesh "default" is not found. If signing key was rotated, regenerate the token',
      ],
      ["another's signature", await dataplane({}, stranger), `${foreign} ${ofMesh}`],
      [
        "signed with a key that it brings",
        await withHeader({ jwk: createPublicKey(stranger.privateKey).export({ format: "jwk" }) }),
        `${foreign} ${ofMesh}`,
      ],
      [
        "signed with a key that lies elsewhere",
        await withHeader({ jku: "https://127.0.0.1/keys.json", x5u: "https://127.0.0.1/key.pem" }),
        `${foreign} ${ofMesh}`,
      ],
      ...(await Promise.all(
        ["../../../etc/passwd", "1/../1", "..", "1\u0000", "1".repeat(200)].map(
          async (kid): Promise<TokenRow> => [
            `a kid that is no number of a key: ${JSON.stringify(kid).slice(0, 30)}`,
            await dataplane({}, { ...own, kid }),
            `could not parse token: token is unverifiable: kid ${JSON.stringify(kid).slice(0, 80)} can't be the id of a signing key`,
          ],
        ),
      )),
      [
        "revoked",
        await issueDataplaneToken({ ...nothing, mesh: "default" }, own, issuedAs(revokedId)),
        "token is revoked",
      ],
      [
        "of a type of zone proxies",
        await dataplane({ type: "ingress" }),
        "proxy type from requestor: dataplane is different than in token: ingress",
      ],
      [
        "the signature of another token",
        await spliced(dataplane({ name: "api" }), dataplane({})),
        `${foreign} ${ofMesh}`,
      ],
      ["expired", await dataplane({}, own, long), expired],
      [
        "not yet valid",
        await dataplane({}, own, ahead),
        "token is not yet valid: 'valid_from' date is in the future. Check if the system clock on the instance that issued the token is set correctly: it is valid from 2099-12-31T23:59:55.000Z",
      ],
      ["of another mesh", await dataplane({ mesh: "other" }, keyOf("other")), `${foreign} ${ofMesh}`],
      [
        "naming another mesh",
        await dataplane({ mesh: "other" }),
        "proxy mesh from requestor: default is different than in token: other",
      ],
      [
        "of another proxy",
        await dataplane({ name: "api" }),
        "proxy name from requestor: web is different than in token: api",
      ],
      [
        "for a tag that it lacks",
        await dataplane({ tags: { version: ["v1"] } }),
        'dataplane has no tag "version" required by the token',
      ],
      [
        "for another value of a tag",
        await dataplane({ tags: { "kuma.io/service": ["api", "db"] } }),
        'dataplane contains tag "kuma.io/service" with value "web" which is not allowed with this token. Allowed values in token are ["api", "db"], the dataplane has ["web"]',
      ],
      [
        "for a workload",
        await dataplane({ workload: "shop" }),
        "dataplane has no workload label required by the token",
      ],
      ["of an ingress", await ingress({}), `${foreign} ${ofMesh}`],
    ],
    forIngress: [
      ["none", "", "could not parse token: there is no token"],
      ["no token at all", "hunter2", malformed],
      ["another's signature", await ingress({}, stranger), `${foreign} ${ofZone}`],
      ["expired", await ingress({}, ofZones, long), expired],
      [
        "of another zone",
        await ingress({ zone: "zone-b" }),
        "zone from requestor: zone-a is different than in token: zone-b",
      ],
      [
        "of an egress",
        await ingress({ scope: ["egress"] }),
        "token cannot be used to authenticate zone entity (ingress is out of token's scope: [egress])",
      ],
      ["of a dataplane", await dataplane({}), `${foreign} ${ofZone}`],
      [
        "revoked",
        await issueZoneToken({ zone: "", scope: ["ingress"] }, ofZones, issuedAs(revokedId)),
        "token is revoked",
      ],
      [
        "a kid that is no number of a key",
        await ingress({}, { ...ofZones, kid: "../zone-token-signing-key-1" }),
        'could not parse token: token is unverifiable: kid "../zone-token-signing-key-1" can\'t be the id of a signing key',
      ],
    ],
    right: { web: await dataplane({ name: "web" }), ingress: await ingress({ zone: "zone-a" }) },
  };
}

const revokedId = "00000000-0000-4000-8000-000000000001";
const revoke = ({ api }: { readonly api: string }, name: string): Promise<void> =>
  put(api, `/global-secrets/${name}`, { type: "GlobalSecret", name, data: Buffer.from(revokedId).toString("base64") });

function keyIn(content: Uint8Array): SigningKey {
  const read = readSigningKey(content);
  if (!read.ok) throw new Error(read.reason);
  return { kid: "1", privateKey: read.key };
}

/** The claims of one token with the signature of another. */
async function spliced(claims: Promise<string>, signature: Promise<string>): Promise<string> {
  const [header, body] = (await claims).split(".");
  return `${header}.${body}.${(await signature).split(".")[2]}`;
}
