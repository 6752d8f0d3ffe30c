// An Envoy's side of delta ADS, without I/O: what it asks for and when, as recorded of real ones (test/recorded/dp-server).
//
//   start       clusters ─► their endpoints ─► their secrets ─► listeners ─► routes: each when the one before is there
//   later       a cluster is acknowledged when it is warm, that is, when its endpoints have come after it
//   refused     a response with one thing that it refuses is refused as a whole
//   new stream  everything again at once, by name, with the versions that it holds

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type EnvoyType, envoyTypeOf, envoyTypes, envoyTypeUrl } from "#discovery/order.ts";
import { decode } from "#envoy/encode.ts";
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";

type RequestInit = MessageInitShape<typeof DeltaDiscoveryRequestSchema>;
export type Request = Omit<RequestInit, "typeUrl">;

export interface FakeEnvoyOptions {
  readonly node: NonNullable<RequestInit["node"]>;
  /** Why it does not take a resource; absent: it takes all. */
  readonly refuses?: (type: EnvoyType, name: string) => string | undefined;
}

export interface FakeEnvoy {
  /** A new stream: asks for what it needs, at the first one step by step. */
  open(send: (type: EnvoyType, request: Request) => void): void;
  receive(response: DeltaDiscoveryResponse): void;
  /** It has everything that it asked for on this stream, listeners included, and has acknowledged it. */
  readonly isComplete: boolean;
  /** Clusters that take their endpoints over EDS. */
  readonly clusters: ReadonlySet<string>;
}

export function fakeEnvoy({ node, refuses = () => undefined }: FakeEnvoyOptions): FakeEnvoy {
  const held = byType(() => new Map<string, string>());
  const asked = byType(() => new Set<string>());
  /** What it was told does not exist. */
  const missing = byType(() => new Set<string>());
  const refers = new Map<string, References>();
  /** Types in the order in which it came to ask for them. */
  const subscribed = new Set<EnvoyType>();
  const greeted = new Set<EnvoyType>();
  const clusters = new Set<string>();
  let send: (type: EnvoyType, request: Request) => void = () => {};
  let unwarmed: { readonly nonce: string; readonly waitsFor: Set<string> } | undefined;

  function ask(type: EnvoyType, names: Iterable<string>): void {
    const fresh = [...names].filter((name) => !asked[type].has(name));
    if (fresh.length === 0) return;
    for (const name of fresh) asked[type].add(name);
    subscribed.add(type);
    send(type, { resourceNamesSubscribe: fresh });
  }

  function askAll(type: "cluster" | "listener", request: Request = {}): void {
    subscribed.add(type);
    send(type, request);
  }

  const hasAll = (type: EnvoyType): boolean =>
    [...asked[type]].every((name) => held[type].has(name) || missing[type].has(name));
  const wanted = (of: "cluster" | "listener", type: "secrets" | "routes"): readonly string[] =>
    [...held[of].keys()].flatMap((name) => refers.get(`${of} ${name}`)?.[type] ?? []);

  /** What nothing refers to any more is asked for no longer. */
  function leave(type: "secret" | "route", referred: readonly string[]): void {
    const left = [...asked[type]].filter((name) => !referred.includes(name));
    if (left.length === 0) return;
    for (const name of left) {
      asked[type].delete(name);
      held[type].delete(name);
    }
    send(type, { resourceNamesUnsubscribe: left });
  }
  const leaveSecrets = (): void => leave("secret", [...wanted("cluster", "secrets"), ...wanted("listener", "secrets")]);

  /** The next step of its start, if what that needs is there. */
  function goOn(): void {
    if (!greeted.has("cluster") || !hasAll("endpoint")) return;
    // One request for each.
    for (const name of wanted("cluster", "secrets")) ask("secret", [name]);
    if (hasAll("secret") && !subscribed.has("listener")) askAll("listener");
  }

  function take(type: EnvoyType, { nonce, resources, removedResources }: DeltaDiscoveryResponse): void {
    for (const { name, version, resource } of resources) {
      held[type].set(name, version);
      missing[type].delete(name);
      if (resource && (type === "cluster" || type === "listener"))
        refers.set(`${type} ${name}`, referencesOf(type, version, resource.value));
    }
    for (const name of removedResources) {
      held[type].delete(name);
      missing[type].add(name);
    }
    greeted.add(type);
    switch (type) {
      case "cluster":
        takeClusters(
          nonce,
          resources.map(({ name }) => name),
          removedResources,
        );
        return;
      case "endpoint":
        // That there are none is an answer, too: the cluster goes on without.
        for (const name of [...resources.map((one) => one.name), ...removedResources]) unwarmed?.waitsFor.delete(name);
        if (unwarmed?.waitsFor.size === 0) {
          send("cluster", { responseNonce: unwarmed.nonce });
          unwarmed = undefined;
        }
        break;
      case "listener":
        leave("route", wanted("listener", "routes"));
        leaveSecrets();
        ask("route", wanted("listener", "routes"));
        for (const name of wanted("listener", "secrets")) ask("secret", [name]);
        break;
      case "secret":
      case "route":
        break;
    }
    const isStart = !subscribed.has("listener");
    if (isStart && type === "endpoint") goOn();
    send(type, { responseNonce: nonce });
    if (isStart) goOn();
  }

  function takeClusters(nonce: string, changed: readonly string[], removed: readonly string[]): void {
    const isDiscovered = (name: string): boolean => refers.get(`cluster ${name}`)?.isDiscovered === true;
    const left = [...removed, ...changed.filter((name) => !isDiscovered(name))].filter((name) => clusters.delete(name));
    const warming = changed.filter(isDiscovered);
    for (const name of warming) clusters.add(name);
    for (const name of left) {
      asked.endpoint.delete(name);
      held.endpoint.delete(name);
      unwarmed?.waitsFor.delete(name);
    }
    if (left.length > 0) send("endpoint", { resourceNamesUnsubscribe: left });
    ask("endpoint", warming);
    leaveSecrets();
    // While it starts it acknowledges at once.
    if (warming.length > 0 && subscribed.has("listener")) unwarmed = { nonce, waitsFor: new Set(warming) };
    else send("cluster", { responseNonce: nonce });
    goOn();
  }

  return {
    open(sendOn) {
      send = sendOn;
      unwarmed = undefined;
      greeted.clear();
      for (const type of envoyTypes) missing[type].clear();
      if (subscribed.size === 0) return askAll("cluster", { node });
      let isFirst = true;
      for (const type of subscribed) {
        send(type, {
          ...(isFirst && { node }),
          resourceNamesSubscribe: [...asked[type]],
          initialResourceVersions: Object.fromEntries(held[type]),
        });
        isFirst = false;
      }
    },
    receive(response) {
      const type = envoyTypeOf(response.typeUrl);
      if (!type) throw new Error(`a resource of type ${response.typeUrl}, for which nobody asked`);
      const reasons = response.resources.flatMap(({ name }) => refuses(type, name) ?? []);
      if (reasons.length > 0) {
        send(type, { responseNonce: response.nonce, errorDetail: { code: 13, message: reasons.join(", ") } });
        return;
      }
      take(type, response);
    },
    get isComplete() {
      return greeted.has("cluster") && greeted.has("listener") && unwarmed === undefined && envoyTypes.every(hasAll);
    },
    clusters,
  };
}

export const requestBytes = (type: EnvoyType, request: Request): Uint8Array =>
  toBinary(
    DeltaDiscoveryRequestSchema,
    create(DeltaDiscoveryRequestSchema, { ...request, typeUrl: envoyTypeUrl[type] } as RequestInit),
  );

export const responseOf = (bytes: Uint8Array): DeltaDiscoveryResponse =>
  fromBinary(DeltaDiscoveryResponseSchema, bytes);

interface References {
  /** Of a cluster: by EDS. */
  readonly isDiscovered: boolean;
  readonly secrets: readonly string[];
  readonly routes: readonly string[];
}

/** Proxies share what they read, as they share a machine with what is measured. */
const read = new Map<string, References>();

function referencesOf(type: EnvoyType, version: string, value: Uint8Array): References {
  const known = read.get(`${type} ${version}`);
  if (known) return known;
  const text = JSON.stringify(decode(type, value));
  const found = (pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map((match) => match[1] ?? ""))];
  const made: References = {
    isDiscovered: text.includes('"type":"EDS"'),
    secrets: found(/SdsSecretConfigs?":\[?\{"name":"([^"]+)"/g).sort(),
    routes: found(/"routeConfigName":"([^"]+)"/g),
  };
  read.set(`${type} ${version}`, made);
  return made;
}

const byType = <V>(make: () => V): Record<EnvoyType, V> => ({
  cluster: make(),
  secret: make(),
  endpoint: make(),
  listener: make(),
  route: make(),
});
