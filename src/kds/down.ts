// Global → zone: what a zone gets, and in which form (interop 4.4, 4.5). A resource is transformed and encoded once for all
// zones; what depends on the zone is only whether it passes.

import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import type { Outgoing } from "#kds/audience.ts";
import { itemOf } from "#kds/codec.ts";
import { wireNameOf, withHashedName } from "#kds/name.ts";
import { emptyStatusOf, isHeldBack } from "#kds/sharing.ts";
import type { Feature } from "#kds/wire.ts";
import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import { label, type Resource, tag } from "#resources/resource.ts";
import { meshOfExceptions } from "#topology/vips.ts";

export interface Circumstances {
  /** By name, sorted. A zone that is not known counts as enabled. */
  readonly disabled: readonly string[];
  /** The value of its label; `undefined`: it is not drained. */
  drainedSince(zone: string): string | undefined;
}

/** `undefined`: no zone gets it. */
export function downward(kind: Kind, resource: Resource, circumstances: Circumstances): Outgoing | undefined {
  if (isHeldBack(resource) || !mayLeave(resource)) return undefined;
  const audience =
    resource.labels[label.origin] === "zone"
      ? fromZone(kind, resource, circumstances.disabled)
      : fromGlobal(kind, resource);
  if (!audience) return undefined;
  const sent = transformed(kind, resource, circumstances);
  if (!sent) return undefined;
  const outgoing = { ...audience, item: itemOf(kind, sent) };
  if (kind.name !== "Secret") return outgoing;
  if (!resource.name.startsWith(dataplaneSigningKey))
    return holdsPrivateKey(resource) && !isOfServer(resource) ? { ...outgoing, keyless: "nothing" } : outgoing;
  const data = publicKeyOf(sent.spec.data);
  const { wire: _, ...rest } = sent;
  return { ...outgoing, keyless: data === undefined ? "nothing" : itemOf(kind, { ...rest, spec: { data } }) };
}

/**
 * An authority's key is there before its Mesh names it and after, so it is known by what it is. No zone of ours uses such a key.
 */
const holdsPrivateKey = ({ spec }: Resource): boolean => pemIn(spec).includes("PRIVATE KEY-----");

const pemIn = ({ data }: Resource["spec"]): string =>
  typeof data === "string" ? Buffer.from(data, "base64").toString() : "";

/** Gateways show it to their clients, so that zones need the key: the only one there, of the first certificate, which can sign no other. */
function isOfServer({ spec }: Resource): boolean {
  const pem = pemIn(spec);
  const [first = ""] = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/) ?? [];
  const keys = pem.match(/-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+-----END [A-Z ]*PRIVATE KEY-----/g) ?? [];
  try {
    const certificate = new X509Certificate(first);
    return keys.length === 1 && !certificate.ca && certificate.checkPrivateKey(createPrivateKey(keys[0] ?? ""));
  } catch {
    return false;
  }
}

/** Zones check dataplane tokens with the public halves, under the same names. */
const dataplaneSigningKey = "dataplane-token-signing-key-";

/** Secrets of a control plane itself, and of its users, stay at home (rules 2 and 3). */
function mayLeave({ kind, name }: Resource): boolean {
  if (kind === "Config") return name === "kuma-cluster-id" || isForKodiaks({ kind, name });
  if (kind !== "GlobalSecret") return true;
  return !ownSecrets.has(name) && !ownKeys.some((prefix) => name.startsWith(prefix));
}
/** Addresses of names (decision 16): zones of a Kuma have their own. */
const isForKodiaks = ({ kind, name }: Pick<Resource, "kind" | "name">): boolean =>
  kind === "Config" && meshOfExceptions(name) !== undefined;

const ownKeys: readonly string[] = ["user-token-signing-key", "zone-join-signing-key"];
const ownSecrets: ReadonlySet<string> = new Set([
  "envoy-admin-ca",
  "admin-user-token",
  "inter-cp-ca",
  "user-token-revocations",
  "zone-authority",
  "zone-join-revocations",
]);

function fromGlobal(kind: Kind, resource: Resource): Omit<Outgoing, "item"> | undefined {
  if (!kind.sync.globalToZone) return undefined;
  const needs: Feature[] = [];
  if (isForKodiaks(resource)) needs.push("kodiak-resume");
  if (isSpecPolicy(kind) && resource.spec.targetRef === undefined) needs.push("optional-top-level-target-ref");
  if (selectsMultiZoneServices(resource)) needs.push("hg-mz-selector");
  return { needs };
}

/** A disabled zone is it in both directions: the others get nothing of it, nor it of them. */
function fromZone(kind: Kind, resource: Resource, disabled: readonly string[]): Omit<Outgoing, "item"> | undefined {
  if (!kind.sync.acrossZones) return undefined;
  const zone = zoneOf(resource);
  if (disabled.includes(zone)) return undefined;
  const notTo = [zone, ...disabled];
  if (!isSpecPolicy(kind)) return { notTo, needs: [] };
  if (resource.labels[label.policyRole] !== "producer" || !isProducer(resource)) return undefined;
  const onlyTo = zoneOfSubset(resource.spec.targetRef);
  return { notTo, needs: ["producer-policy-flow"], ...(onlyTo !== undefined && { onlyTo }) };
}

const zoneOf = ({ labels, name }: Resource): string => labels[label.zone] ?? name.split(".", 1)[0]!;

const isSpecPolicy = (kind: Kind): boolean => kind.isPolicy && kind.style === "spec";

const selectsMultiZoneServices = ({ kind, spec }: Resource): boolean =>
  kind === "HostnameGenerator" && isObject(spec.selector) && spec.selector.meshMultiZoneService !== undefined;

function zoneOfSubset(targetRef: JsonValue | undefined): string | undefined {
  if (!isObject(targetRef) || targetRef.kind !== "MeshSubset" || !isObject(targetRef.tags)) return undefined;
  const zone = targetRef.tags[tag.zone];
  return typeof zone === "string" ? zone : undefined;
}

const systemNamespace = "kuma-system";

/** Whether the spec says so, too: only `to`, and only services of its own namespace (interop 1.6). */
function isProducer({ labels, spec }: Resource): boolean {
  const namespace = labels[label.namespace] ?? systemNamespace;
  const to = itemsIn(spec, "to");
  if (namespace === systemNamespace || to.length === 0 || itemsIn(spec, "from").length > 0) return false;
  return to.every((item) => {
    const ref = isObject(item) ? item.targetRef : undefined;
    if (!isObject(ref) || (ref.kind !== "MeshService" && ref.kind !== "MeshHTTPRoute")) return false;
    return Boolean(ref.name) && (!ref.namespace || ref.namespace === namespace);
  });
}

function itemsIn(spec: JsonObject, member: "to" | "from"): readonly JsonValue[] {
  const items = spec[member];
  return Array.isArray(items) ? items : [];
}

/** As a zone knows it. */
export function nameDown(kind: Kind, { name, mesh, labels }: Pick<Resource, "name" | "mesh" | "labels">): string {
  const isSigningKey = kind.name === "GlobalSecret" && name.startsWith(signingKey);
  const sent = isSigningKey ? name.replace(signingKey, publicSigningKey) : name;
  return wireNameOf(kind.plainName ? { name: sent, mesh } : withHashedName({ name, mesh, labels }));
}

/** In a zone, everything that came from global has the origin `global`, also what another zone made. */
function transformed(kind: Kind, resource: Resource, { drainedSince }: Circumstances): Resource | undefined {
  const drained = kind.name === "ZoneIngress" ? drainedSince(zoneOf(resource)) : undefined;
  const sent = withoutPrivateKey({
    ...resource,
    labels: {
      ...resource.labels,
      ...(drained !== undefined && { [label.drainedSince]: drained }),
      [label.origin]: "global",
    },
    ...(kind.hasStatus && { status: emptyStatusOf(kind) }),
  });
  return sent && (kind.plainName ? sent : withHashedName(sent));
}

const signingKey = "zone-token-signing-key";
const publicSigningKey = "zone-token-signing-public-key";

/** Zones check zone tokens, global signs them: they get the public half of the key. */
function withoutPrivateKey(resource: Resource): Resource | undefined {
  const { kind, name, labels, spec, wire: _, ...rest } = resource;
  if (kind !== "GlobalSecret" || !name.startsWith(signingKey)) return resource;
  const data = publicKeyOf(spec.data);
  if (data === undefined) return undefined;
  return {
    ...rest,
    kind,
    name: name.replace(signingKey, publicSigningKey),
    labels: { ...labels, [label.displayName]: name },
    spec: { data },
  };
}

/** What is no RSA key has no public half, and must not travel as it is. */
function publicKeyOf(base64: JsonValue | undefined): string | undefined {
  try {
    const pem = createPublicKey(Buffer.from(typeof base64 === "string" ? base64 : "", "base64")).export({
      type: "pkcs1",
      format: "pem",
    });
    return Buffer.from(pem).toString("base64");
  } catch {
    return undefined;
  }
}
