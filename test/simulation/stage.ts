// What a simulation plays on: a global control plane, zones with their proxies, the links between them, and a history of all
// that was done to them and that they logged.

import { createHash } from "node:crypto";
import { certificateFor } from "#host/certificate-for-test.ts";
import { adminUserTokenId, builtinCertificateId, builtinKeyId, secretResource } from "#identity/secret.ts";
import {
  createSigningKey,
  dataplaneTokenKeys,
  joinTokenKeys,
  signingKeyId,
  userTokenKeys,
  zoneTokenKeys,
} from "#identity/signing-key.ts";
import { createZoneAuthority, zoneAuthorityId } from "#identity/zone-certificate.ts";
import type { JsonObject } from "#lib/json.ts";
import { kindNamed } from "#resources/kinds.ts";
import { completeLabels, type Place } from "#resources/labels.ts";
import { describeId, type Resource, type ResourceId } from "#resources/resource.ts";
import { fromRest } from "#resources/rest.ts";
import { type ControlPlane, globalControlPlane, type Site, zoneControlPlane } from "./control-plane.ts";
import { intermediateLastsMs } from "./credentials.ts";
import { disk } from "./disk.ts";
import { type Frame, simulatedNetwork } from "./network.ts";
import { program } from "./program.ts";
import { type ProxyId, proxy, type SimulatedProxy } from "./proxy.ts";
import { type Chance, chance } from "./random.ts";
import { type Schedule, schedule } from "./schedule.ts";
import { type Links, links } from "./wire.ts";

export interface Stage {
  readonly random: Chance;
  readonly time: Schedule;
  readonly links: Links;
  readonly global: ControlPlane;
  readonly zones: readonly ControlPlane[];
  /** All that there ever were. */
  readonly proxies: readonly SimulatedProxy[];
  /** What must not happen, and did. */
  readonly problems: readonly string[];
  readonly history: readonly string[];
  /** Of everything that went over any wire, and when. */
  trace(): string;
  say(text: string): void;
  /** To be told of all that arrives, from host to host. */
  observe(observer: Observer): void;
  proxy(id: ProxyId): SimulatedProxy;
  /** Puts what a user writes, in the form of the HTTP API. */
  put(at: ControlPlane, body: JsonObject): void;
  delete(at: ControlPlane, id: ResourceId): void;
}

export type Observer = (from: string, to: string, frame: Frame) => void;

export interface StageOptions {
  readonly seed: number;
  readonly zones: number;
  readonly meshes: readonly string[];
  /** The share of listeners and routes that Envoys refuse. */
  readonly refuses?: number;
  /** Of zones' own authorities; absent: as real ones. */
  readonly lastsMs?: number;
}

const startMs = Date.UTC(2026, 0, 1);
const zoneNames = ["zone-a", "zone-b", "zone-c"];

/** Made once: they take real time, and which ones they are changes nothing. */
const signingKey = createSigningKey();
const zoneAuthority = createZoneAuthority(Date.now());
const certificate = certificateFor(["global", ...zoneNames]);

export async function stage({
  seed,
  zones: count,
  meshes,
  refuses = 0,
  lastsMs = intermediateLastsMs,
}: StageOptions): Promise<Stage> {
  const random = chance(seed);
  const time = schedule(startMs);
  const history: string[] = [];
  const problems: string[] = [];
  const traced = createHash("sha256");
  const observers: Observer[] = [];
  const say = (text: string): void => {
    history.push(`${((time.now() - startMs) / 1000).toFixed(3).padStart(9)} s  ${text}`);
  };
  const wrong = (what: string): void => {
    say(`WRONG: ${what}`);
    problems.push(what);
  };
  const between = links(time, random.apart(), (from, to, frames) => {
    const own = frames as readonly Frame[];
    traced.update(`${time.now()} ${from} ${to} ${own.map(sizeOf).join(" ")}\n`);
    for (const observe of observers) for (const frame of own) observe(from, to, frame);
  });
  const site: Site = {
    network: simulatedNetwork(between),
    certificate: await certificate,
    intermediateLastsMs: lastsMs,
    program: (host) =>
      program(host, time, random.apart(), (level, text) => {
        if (level === "error") wrong(text);
        else say(text);
      }),
  };
  const key = await signingKey;
  const authority = await zoneAuthority;
  const names = zoneNames.slice(0, count);
  const globalDisk = disk("store-global", (life) => initialGlobal(meshes, { key, authority }, life));
  const global = globalControlPlane(site, globalDisk);
  const zones = names.map((name) =>
    zoneControlPlane(
      site,
      name,
      disk(`store-${name}`, () => initialOwn(key)),
    ),
  );
  const proxies: SimulatedProxy[] = [];
  const placeOf = (at: ControlPlane): Place =>
    at === global ? { kind: "global" } : { kind: "zone", zone: at.name, isFederated: true };

  function write(at: ControlPlane, id: ResourceId, after: Resource | undefined): void {
    const { store } = at;
    if (!store) return;
    const place = describeId(id);
    const known = at.written.get(place) ?? { id, acknowledged: undefined, unknown: [] };
    at.written.set(place, known);
    known.unknown.push(after);
    store.write([after ? { kind: "put", resource: after } : { kind: "delete", id }]).then(
      () => {
        // A killed program goes on for itself; nobody hears it.
        if (at.store !== store) return;
        known.acknowledged = after;
        known.unknown = [];
      },
      (error: unknown) => wrong(`${at.name} did not write ${describeId(id)}: ${String(error)}`),
    );
  }

  return {
    random,
    time,
    links: between,
    global,
    zones,
    proxies,
    problems,
    history,
    trace: () => traced.copy().digest("hex"),
    say,
    observe: (observer) => void observers.push(observer),
    proxy(id) {
      const known = proxies.find(({ zone, kind, mesh, name }) => isEqualId(id, { zone, kind, mesh, name }));
      if (known) return known;
      const made = proxy(id, site, { refuses, wrong });
      proxies.push(made);
      return made;
    },
    put(at, body) {
      const kind = kindNamed(String(body.type));
      const { resource, issues } = fromRest(kind, body);
      if (issues.length > 0) throw new Error(`the simulation writes what is wrong: ${JSON.stringify(issues)}`);
      const complete = { ...resource, labels: completeLabels(placeOf(at), kind, resource) };
      write(at, { kind: kind.name, mesh: resource.mesh, name: resource.name }, complete);
    },
    delete: (at, id) => write(at, id, undefined),
  };
}

const isEqualId = (a: ProxyId, b: ProxyId): boolean =>
  a.zone === b.zone && a.kind === b.kind && a.mesh === b.mesh && a.name === b.name;

const sizeOf = (frame: Frame): string =>
  `${frame.kind}.${frame.id}.${frame.kind === "message" || frame.kind === "call" ? frame.bytes.length : 0}`;

/** What a control plane has made at its first start. */
const initialOwn = (key: string): readonly Resource[] => [
  secretResource(signingKeyId(userTokenKeys, "1"), key),
  secretResource(adminUserTokenId, "admin"),
];

/** A store that takes the place of a lost one has keys of its own, under the old names. */
function initialGlobal(
  meshes: readonly string[],
  { key, authority }: { readonly key: string; readonly authority: string },
  life: number,
): readonly Resource[] {
  const which = life === 1 ? "" : ` in life ${life}`;
  return [
    ...initialOwn(key),
    secretResource(signingKeyId(zoneTokenKeys, "1"), key),
    secretResource(signingKeyId(joinTokenKeys, "1"), key),
    secretResource(zoneAuthorityId, authority),
    {
      ...secretResource({ kind: "Config", mesh: "", name: "kuma-cluster-id" }, ""),
      spec: { config: `simulated${which}` },
    },
    ...meshes.flatMap((mesh) => [
      secretResource(signingKeyId(dataplaneTokenKeys(mesh), "1"), `key of ${mesh}${which}`),
      secretResource(builtinCertificateId(mesh, "ca-1"), `authority of ${mesh}${which}`),
      secretResource(builtinKeyId(mesh, "ca-1"), `-----BEGIN PRIVATE KEY----- of the authority of ${mesh}${which}`),
    ]),
  ];
}
