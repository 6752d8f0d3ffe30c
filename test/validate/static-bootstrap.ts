// What a proxy gets over ADS, written as a static bootstrap. All that Envoy would ask for separately stands inside what refers
// to it: `--mode validate` asks nobody, and looks only at what it has.

import { resourceIn } from "#discovery/frame.ts";
import type { Item } from "#discovery/item.ts";
import type { EnvoyType } from "#discovery/order.ts";
import { decode } from "#envoy/encode.ts";
import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import type { BundledItem } from "#proxy/bundle.ts";
import { bootstrapFor } from "#xds/bootstrap.ts";
import { parseBootstrapRequest } from "#xds/bootstrap-request.ts";

export function staticBootstrap(items: readonly BundledItem[]): JsonObject {
  const named = (wanted: EnvoyType): ReadonlyMap<string, JsonObject> =>
    new Map(items.flatMap(({ type, item }) => (type === wanted ? [[item.name, jsonOf(type, item)] as const] : [])));
  const routes = named("route");
  const assignments = named("endpoint");

  const inside = (value: JsonValue | undefined): JsonValue => {
    if (Array.isArray(value)) return value.map(inside);
    if (!isObject(value)) return value ?? null;
    // Without a source a secret is looked for among the static ones.
    const { rds, sdsConfig: _, ...members } = value;
    const rest = Object.fromEntries(Object.entries(members).map(([name, inner]) => [name, inside(inner)]));
    return isObject(rds) ? { ...rest, routeConfig: routeConfig(String(rds.routeConfigName)) } : rest;
  };
  // Every cluster is here, so routes to none can be found out.
  const routeConfig = (name: string): JsonObject => ({ ...present(routes, name), validateClusters: true });
  const cluster = ({ edsClusterConfig, ...rest }: JsonObject): JsonValue =>
    inside(
      edsClusterConfig ? { ...rest, type: "STATIC", loadAssignment: present(assignments, String(rest.name)) } : rest,
    );

  return {
    ...limits(),
    staticResources: {
      listeners: [...named("listener").values()].map(inside),
      clusters: [...named("cluster").values()].map(cluster),
      secrets: [...named("secret").values()],
    },
  };
}

/** What a proxy's own bootstrap says of how much Envoy may be asked for. */
function limits(): JsonObject {
  const parsed = parseBootstrapRequest(new TextEncoder().encode("{}"));
  if (parsed.kind !== "request") throw new Error(parsed.why);
  const facts = { host: "", port: 0, ca: "", service: "", adminPort: undefined };
  const more = { unifiedNames: false, reportsHealth: false };
  const { layeredRuntime, defaultRegexEngine } = bootstrapFor(parsed.request, { ...facts, ...more });
  return JSON.parse(JSON.stringify({ layeredRuntime, defaultRegexEngine }));
}

function jsonOf(type: EnvoyType, item: Item): JsonObject {
  const json = decode(type, resourceIn(item)?.resource?.value ?? new Uint8Array());
  if (!isObject(json)) throw new Error(`a ${type} that is no message`);
  return json;
}

function present(all: ReadonlyMap<string, JsonObject>, name: string): JsonObject {
  const found = all.get(name);
  if (!found) throw new Error(`${name} is referred to and not there`);
  return found;
}
