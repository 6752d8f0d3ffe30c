// A data plane proxy or zone ingress in the simulation: what `kodiak run proxy` does (bootstrap, leaving), and an Envoy that
// speaks as recorded ones do (bench/fake-envoy.ts). What it was given and took is what it holds.

import { type EnvoyType, envoyTypes } from "#discovery/order.ts";
import { decode } from "#envoy/encode.ts";
import type { ClusterLoadAssignmentJson } from "#gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { sha256Hex } from "#lib/hash.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import { adsPath } from "#xds/server.ts";
import { type FakeEnvoy, fakeEnvoy } from "../../bench/fake-envoy.ts";
import { type Response, requestBytes, responseOf } from "../../bench/fake-messages.ts";
import { ports, type Site } from "./control-plane.ts";
import { type Signed, tokenOf } from "./credentials.ts";
import type { SimulatedConnection } from "./network.ts";
import type { Program } from "./program.ts";

export interface ProxyId {
  readonly zone: string;
  readonly kind: "Dataplane" | "ZoneIngress";
  /** Empty for a zone ingress. */
  readonly mesh: string;
  readonly name: string;
}

export interface SimulatedProxy extends ProxyId {
  /** What it brings, as users write it: `networking` and the like. */
  readonly definition: JsonObject | undefined;
  readonly isRunning: boolean;
  /** When its control plane sent it something last. */
  readonly heardAt: number;
  /** Its Envoy holds these: name → version. */
  readonly has: Readonly<Record<EnvoyType, ReadonlyMap<string, string>>>;
  /** What it asked for by name. */
  readonly asked: Readonly<Record<EnvoyType, ReadonlySet<string>>>;
  readonly refused: ReadonlySet<string>;
  /** What it had and was taken from it at any time: names, and clusters whose last endpoint was. */
  readonly lost: ReadonlySet<string>;
  /** What its certificate says. */
  readonly identity: Signed | undefined;
  start(definition: JsonObject): void;
  /** Instance and Envoy, as `kill -9` does it. */
  kill(): void;
  /** As SIGTERM does it: it ends when the control plane has let it go, or does not answer. */
  leave(): void;
}

export interface ProxyOptions {
  /** The share of listeners and routes that its Envoy refuses. */
  readonly refuses: number;
  /** What must not happen. */
  readonly wrong: (what: string) => void;
}

/** Envoy waits no longer for what a cluster needs; a control plane that lets it come to that has stalled it. */
const envoyWaitsMs = 15_000;
/** After so long at most it dials again: twice as long with each failure. */
const envoyRetriesMs = { first: 500, most: 30_000 };

export function proxy(id: ProxyId, site: Site, options: ProxyOptions): SimulatedProxy {
  const { zone, kind, mesh, name } = id;
  const host = `${zone}/${name}`;
  let program: Program | undefined;
  let definition: JsonObject | undefined;
  let has = byType(() => new Map<string, string>());
  let asked = byType(() => new Set<string>());
  let identity: Signed | undefined;
  const refused = new Set<string>();
  const lost = new Set<string>();
  const withEndpoints = new Set<string>();
  let heardAt = 0;
  let hasLeft = false;
  let leave = (): void => {};

  function start(own: Program, brought: JsonObject): void {
    has = byType(() => new Map());
    asked = byType(() => new Set());
    identity = undefined;
    refused.clear();
    const resource = JSON.stringify({ type: kind, ...(mesh !== "" && { mesh }), name, ...brought });
    const proxyType = kind === "Dataplane" ? "dataplane" : "ingress";
    const metadata = { "dataplane.resource": resource, "dataplane.proxyType": proxyType };
    const envoy = fakeEnvoy({ node: { id: `${mesh}.${name}`, metadata } });
    const token = tokenOf(kind === "Dataplane" ? name : zone);
    /** Since its control plane said something last. */
    let tries = 0;
    const later = (run: () => void): void => {
      const mostMs = Math.min(envoyRetriesMs.first * 2 ** tries++, envoyRetriesMs.most);
      own.clock.alarm(own.clock.now() + own.random.between(0, mostMs), run);
    };
    let isLeaving = false;

    async function ask(path: string, body: JsonObject): Promise<number> {
      const connection: SimulatedConnection = site.network.of(own).dial({ host: zone, port: ports.dp });
      const headers = { authorization: [token] };
      const bytes = Buffer.from(JSON.stringify({ mesh, name, proxyType, ...body }));
      const at = { authority: `${zone}:${ports.dp}`, peer: `${host}:1` };
      const request = { method: "POST", url: path, headers, ...at, body: bytes };
      try {
        return (await connection.request(request)).status;
      } catch {
        return 503;
      } finally {
        connection.close();
      }
    }

    async function begin(): Promise<void> {
      const status = await ask("/bootstrap", { dataplaneToken: token, dataplaneResource: resource });
      if (status === 200) hasLeft = false;
      if (status === 200) connect();
      else later(() => void begin());
    }

    function connect(): void {
      if (isLeaving) return;
      const connection = site.network.of(own).dial({ host: zone, port: ports.dp });
      const stream = connection.stream(adsPath, { headers: { authorization: token } });
      const unanswered = new Map<EnvoyType, () => void>();
      const send = (type: EnvoyType, request: Parameters<typeof requestBytes>[1]): void => {
        if (request.responseNonce !== undefined) {
          unanswered.get(type)?.();
          unanswered.delete(type);
        }
        for (const one of request.resourceNamesSubscribe ?? []) asked[type].add(one);
        for (const one of request.resourceNamesUnsubscribe ?? []) {
          asked[type].delete(one);
          has[type].delete(one);
        }
        stream.send([requestBytes(type, request)]);
      };
      stream.onMessage((bytes) => {
        heardAt = own.clock.now();
        tries = 0;
        const response = responseOf(bytes);
        const { type } = response;
        const waits = (): void => options.wrong(`${host} waited 15 s for what ${type} ${describe(response)} needs`);
        unanswered.set(type, own.clock.alarm(own.clock.now() + envoyWaitsMs, waits));
        const bad = response.resources.filter((one) => isRefused(type, one.name, one.version, options.refuses));
        if (bad.length > 0) {
          for (const one of bad) refused.add(`${type} ${one.name} ${one.version}`);
          const message = bad.length === 1 ? "not for me" : bad.map((one) => one.name).join(", ");
          send(type, { responseNonce: response.nonce, errorDetail: { code: 13, message } });
          return;
        }
        take(envoy, response);
      });
      stream.onDrained(() => {});
      stream.onEnd(() => {
        for (const cancel of unanswered.values()) cancel();
        connection.close();
        later(connect);
      });
      envoy.open(send);
    }

    leave = () => {
      if (isLeaving) return;
      isLeaving = true;
      hasLeft = true;
      void ask("/leave", {}).then(() => own.kill());
    };
    // An answer to a bootstrap takes longer than all the rest; without one, only what it said when it left would stay true.
    if (hasLeft) void begin();
    else connect();
  }

  function take(envoy: FakeEnvoy, response: Response): void {
    const { type } = response;
    for (const { name: one, version, value } of response.resources) {
      has[type].set(one, version);
      if (type === "endpoint") {
        const { endpoints = [] } = decode(type, value) as ClusterLoadAssignmentJson;
        const count = endpoints.flatMap(({ lbEndpoints = [] }) => lbEndpoints).length;
        if (count > 0) withEndpoints.add(one);
        else if (withEndpoints.delete(one)) lost.add(`the last endpoint of ${one}`);
      }
      if (type === "secret") identity = signedIn(decode(type, value)) ?? identity;
    }
    for (const one of response.removed) if (has[type].delete(one)) lost.add(`${type} ${one}`);
    envoy.receive(response);
  }

  return {
    ...id,
    get definition() {
      return definition;
    },
    get isRunning() {
      return program?.isAlive === true;
    },
    get heardAt() {
      return heardAt;
    },
    get has() {
      return has;
    },
    get asked() {
      return asked;
    },
    refused,
    lost,
    get identity() {
      return identity;
    },
    start(brought) {
      if (program?.isAlive) return;
      definition = brought;
      program = site.program(host);
      start(program, brought);
    },
    kill: () => program?.kill(),
    leave: () => program?.isAlive && leave(),
  };
}

const isRefused = (type: EnvoyType, name: string, version: string, share: number): boolean =>
  share > 0 &&
  (type === "route" || (type === "listener" && name.startsWith("outbound"))) &&
  Number.parseInt(sha256Hex(Buffer.from(`${name} ${version}`)).slice(0, 6), 16) < share * 0x1000000;

const describe = ({ nonce, resources }: Response): string =>
  `${nonce} (${resources.map(({ name }) => name).join(", ")})`;

function signedIn(secret: unknown): Signed | undefined {
  const chain =
    isObject(secret) && isObject(secret.tlsCertificate) ? secret.tlsCertificate.certificateChain : undefined;
  const bytes = isObject(chain) ? chain.inlineBytes : undefined;
  return typeof bytes === "string" ? JSON.parse(Buffer.from(bytes, "base64").toString("utf8")) : undefined;
}

const byType = <V>(make: () => V): Record<EnvoyType, V> =>
  Object.fromEntries(envoyTypes.map((type) => [type, make()])) as Record<EnvoyType, V>;
