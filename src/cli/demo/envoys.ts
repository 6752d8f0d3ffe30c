// What the demo asks of its Envoys: what they have counted, and what they hold.

import { get } from "node:http";
import { text } from "node:stream/consumers";
import { envoyAdmin } from "#agent/admin.ts";
import type { Stage } from "#cli/demo/stage.ts";
import { isObject, type JsonObject } from "#lib/json.ts";

const socketOf = (stage: Stage, name: string): string => `${stage.workDir(name)}/kuma-envoy-admin.sock`;

/** What zone-b's proxies have counted: requests at the instances, connections and bytes at the ingress. */
export async function counters(stage: Stage) {
  const sum = async (name: string, filter: string): Promise<number> => {
    const stats = await envoyAdmin({ socketPath: socketOf(stage, name) }).stats(filter);
    return [...stats.values()].reduce((total, value) => total + value, 0);
  };
  const served = (name: string) => sum(name, "^http.localhost_\\d+.downstream_rq_2xx$");
  return {
    requests: (await served("backend-2")) + (await served("backend-3")),
    connections: await sum("ingress-b", "^cluster.default_backend.upstream_cx_total$"),
    bytes: await sum("ingress-b", "^cluster.default_backend.upstream_cx_(rx|tx)_bytes_total$"),
  };
}

/** How a proxy's Envoy speaks to the instances behind a cluster. */
export interface Encryption {
  /** Of all its connections so far that have become secure, as `TLS 1.3`. */
  readonly versions: readonly string[];
  /** The names of which the server's certificate must have one; Envoy speaks to no other. */
  readonly identities: readonly string[];
  /** Servers that had none of them. */
  readonly refused: number;
}

export async function encryption(stage: Stage, proxy: string, cluster: string): Promise<Encryption> {
  const admin = envoyAdmin({ socketPath: socketOf(stage, proxy) });
  const prefix = `cluster.${cluster}.ssl.`;
  const stats = await admin.stats(`^${prefix.replaceAll(".", "\\.")}(versions\\..*|fail_verify_san)$`);
  const counted = [...stats].filter(([name, count]) => name.startsWith(`${prefix}versions.`) && count > 0);
  const clusters = (await admin.configs("dynamic_active_clusters")).map(({ cluster }) => cluster).filter(isObject);
  const validation = inside(
    clusters.find(({ name }) => name === cluster),
    [
      ...["transport_socket", "typed_config", "common_tls_context"],
      ...["combined_validation_context", "default_validation_context", "match_typed_subject_alt_names"],
    ],
  );
  return {
    versions: counted.map(([name]) => name.slice(`${prefix}versions.`.length).replace("TLSv", "TLS ")),
    identities: (Array.isArray(validation) ? validation : []).map((one) => String(inside(one, ["matcher", "exact"]))),
    refused: stats.get(`${prefix}fail_verify_san`) ?? 0,
  };
}

const inside = (value: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>((at, member) => (isObject(at) ? at[member] : undefined), value);

/** Each resource that these proxies hold, as text, without times. */
export async function held(stage: Stage, names: readonly string[]): Promise<ReadonlySet<string>> {
  const dumps = names.map(async (name) => (await dumpOf(socketOf(stage, name))).map((one) => `${name} ${one}`));
  return new Set((await Promise.all(dumps)).flat());
}

async function dumpOf(socketPath: string): Promise<readonly string[]> {
  const answer = await new Promise<string>((resolve, reject) => {
    get({ socketPath, path: "/config_dump?include_eds", agent: false }, (response) => {
      text(response).then(resolve, reject);
    }).on("error", reject);
  });
  const dump: unknown = JSON.parse(answer, comparable);
  const sections = isObject(dump) && Array.isArray(dump.configs) ? dump.configs.filter(isObject) : [];
  return sections.filter((section) => !String(section["@type"]).endsWith(".BootstrapConfigDump")).flatMap(resourcesOf);
}

/** Without times, and with sorted members: Envoy writes maps in any order. */
const comparable = (key: string, value: unknown): unknown => {
  if (key === "last_updated") return undefined;
  return isObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;
};

/** A section has a list for each way that its resources came by. */
const resourcesOf = (section: JsonObject): readonly string[] =>
  Object.values(section).flatMap((list) => (Array.isArray(list) ? list.map((one) => JSON.stringify(one)) : []));

/** Of the resources that came, went or are others now. */
export function bytesChanged(before: ReadonlySet<string>, after: ReadonlySet<string>): number {
  const changed = [...[...before].filter((one) => !after.has(one)), ...[...after].filter((one) => !before.has(one))];
  return changed.reduce((sum, one) => sum + Buffer.byteLength(one), 0);
}
