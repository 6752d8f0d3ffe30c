// A recorded delta ADS stream of a stock proxy (test/recorded/dp-server/ads-delta-sidecar.jsonl): its requests get answers
// from our half, which is told of the changes that the stock control plane made. Ours differs from the recorded answers in
// three points: one response of a type at a time (the second secret waits), secrets before endpoints, and endpoints stay until the
// cluster that comes without them is acknowledged.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { create, fromJson } from "@bufbuild/protobuf";
import { type Item, wantedOf } from "#discovery/item.ts";
import {
  type EnvoyType,
  envoyTypeOf,
  envoyTypes,
  envoyTypeUrl,
  isSettled,
  newOrder,
  type OrderEvent,
  orderStep,
} from "#discovery/order.ts";
import { pushText, trimmed } from "#discovery/transcript.ts";
import { DeltaDiscoveryRequestSchema } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";

interface Line {
  readonly t_ms: number;
  readonly from: "proxy" | "cp";
  readonly type_url: string;
  readonly response_nonce?: string;
  readonly resource_names_subscribe?: string[];
  readonly resource_names_unsubscribe?: string[];
  /** Whole in first answers, later only their names. */
  readonly resources?: readonly { readonly name: string; readonly version: string }[];
  readonly names?: readonly string[];
  readonly removed_resources?: readonly string[];
}

const file = new URL("../../test/recorded/dp-server/ads-delta-sidecar.jsonl", import.meta.url);
const lines = readFileSync(file, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Line);

const refers: Readonly<Record<string, readonly string[]>> = {
  "inbound:127.33.1.4:33500": ["localhost:33501"],
  "kuma:envoy:admin": ["kuma:envoy:admin"],
  "outbound:127.0.0.1:33611": ["backend"],
  "outbound:127.0.0.1:33612": ["db"],
  "outbound:127.0.0.1:33613": ["ext"],
};

test("a stock proxy gets what it asks for, and nothing stalls", () => {
  const stream = new Stream();
  stream.change(lines.filter((line) => line.from === "cp" && line.t_ms < 2000));
  const changes = Map.groupBy(
    lines.filter((line) => line.from === "cp" && line.t_ms > 2000),
    (line) => Math.floor(line.t_ms / 1000),
  );
  for (const line of lines) {
    if (line.from === "proxy") stream.request(line);
    const change = changes.get(Math.floor(line.t_ms / 1000));
    if (line.from === "cp" && change?.[0] === line) {
      stream.acknowledgeRest();
      stream.change(change);
    }
  }
  stream.acknowledgeRest();
  assert.ok(isSettled(stream.order));
  assert.equal(stream.written.join("\n"), trimmed(expected));
});

class Stream {
  order = newOrder();
  readonly wanted: Record<EnvoyType, ReadonlyMap<string, Item>> = {
    cluster: new Map(),
    secret: new Map(),
    endpoint: new Map(),
    listener: new Map(),
    route: new Map(),
  };
  readonly written: string[] = [];

  step(said: string, event: OrderEvent): void {
    const { next, send } = orderStep(this.order, event);
    this.order = next;
    this.written.push(`> ${said}`, ...send.map(({ type, response }) => `< ${type} ${pushText(response)}`));
  }

  change(responses: readonly Line[]): void {
    const changed = new Set<EnvoyType>(this.written.length === 0 ? envoyTypes : []);
    for (const { t_ms, type_url, resources, names = [], removed_resources: removed = [] } of responses) {
      const type = envoyTypeOf(type_url)!;
      const items = new Map(this.wanted[type]);
      for (const name of removed) items.delete(name);
      for (const { name, version } of resources ?? names.map((name) => ({ name, version: `t${t_ms}` }))) {
        items.set(name, { name, version: version.slice(0, 8), bytes: new Uint8Array(), refers: refersOf(type, name) });
      }
      this.wanted[type] = items;
      changed.add(type);
    }
    const types = [...changed].map(
      (type) => [type, { wanted: wantedOf(this.wanted[type]), names: "everything" }] as const,
    );
    this.step("changed", { kind: "changed", changes: new Map(types) });
  }

  request({ type_url, response_nonce, resource_names_subscribe = [], resource_names_unsubscribe = [] }: Line): void {
    const type = envoyTypeOf(type_url)!;
    if (response_nonce !== undefined) {
      this.acknowledge(type);
      return;
    }
    const said = [...resource_names_subscribe, ...resource_names_unsubscribe.map((name) => `-${name}`)];
    const request = fromJson(DeltaDiscoveryRequestSchema, {
      typeUrl: type_url,
      resourceNamesSubscribe: resource_names_subscribe,
      resourceNamesUnsubscribe: resource_names_unsubscribe,
    });
    this.step([type, "ask", ...said].join(" "), { kind: "request", request });
  }

  /** The proxy's answers, with our nonces. */
  acknowledge(type: EnvoyType): void {
    const responseNonce = this.order.subscriptions[type].inFlight?.nonce;
    if (responseNonce === undefined) return;
    const request = create(DeltaDiscoveryRequestSchema, { typeUrl: envoyTypeUrl[type], responseNonce });
    this.step(`${type} ack ${responseNonce}`, { kind: "request", request });
  }

  acknowledgeRest(): void {
    for (let rounds = 0; !isSettled(this.order); rounds++) {
      assert.ok(rounds < 5, "stalled");
      for (const type of envoyTypes) this.acknowledge(type);
    }
  }
}

const refersOf = (type: EnvoyType, name: string): readonly string[] => (type === "listener" ? refers[name]! : []);

const expected = `
  > changed
  > cluster ask
  < cluster 1 +kuma:readiness@a94cac9e +localhost:33501@2cfc5e42 +backend@8f4e754c +db@6434f166 +ext@f371a745 +kuma:envoy:admin@c327c033
  > endpoint ask backend db ext
  < endpoint 2 +backend@8fc9427f +db@84c77fe3 +ext@b320f897
  > cluster ack 1
  > secret ask identity_cert:secret:default
  < secret 3 +identity_cert:secret:default@13fcec9d
  > secret ask mesh_ca:secret:default
  > endpoint ack 2
  > secret ack 3
  < secret 4 +mesh_ca:secret:default@445948e0
  > listener ask
  < listener 5 +inbound:127.33.1.4:33500@26f36b8c +kuma:envoy:admin@265c9e65 +outbound:127.0.0.1:33611@6d008289 +outbound:127.0.0.1:33612@a0643209 +outbound:127.0.0.1:33613@baa11fd2
  > secret ack 4
  > listener ack 5
  > changed
  < cluster 6 +ext@813b8669
  < secret 7 +identity_cert:secret:default@f843ca6a
  < endpoint 8 +ext@b320f897
  < listener 9 +inbound:127.33.1.4:33500@17c02d03
  > cluster ack 6
  > endpoint ack 8
  > listener ack 9
  > secret ack 7
  > changed
  < cluster 10 +ext@t48123
  < secret 11 +identity_cert:secret:default@t48124
  < endpoint 12 +ext@t48124
  < listener 13 +inbound:127.33.1.4:33500@t48124
  > cluster ack 10
  > endpoint ack 12
  > listener ack 13
  > secret ack 11
  > changed
  < cluster 14 +ext@t52012
  < endpoint 15 +ext@t48124
  < listener 16 +outbound:127.0.0.1:33613@t52013
  > endpoint ask -ext
  > cluster ack 14
  > endpoint ack 15
  > listener ack 16
  > changed
  < cluster 17 +ext@t57012
  < endpoint 18 +backend@t57014 +db@t57014
  > endpoint ask ext
  > endpoint ack 18
  < endpoint 19 +ext@t57030
  > cluster ack 17
  > endpoint ack 19
  > changed
  < cluster 20 +ext@t152012
  < endpoint 21 +backend@t152012 +db@t152012 +ext@t152012
  < listener 22 +outbound:127.0.0.1:33613@t152013
  > cluster ack 20
  > endpoint ack 21
  > listener ack 22
  > changed
  < cluster 23 +localhost:33501@t169012
  < listener 24 +inbound:127.33.1.4:33500@t169013 +outbound:127.0.0.1:33611@t169013 +outbound:127.0.0.1:33612@t169013 +outbound:127.0.0.1:33613@t169013
  > cluster ack 23
  > listener ack 24
  > changed
  < listener 25 +outbound:127.0.0.1:33611@t177012 +outbound:127.0.0.1:33612@t177012
  > listener ack 25
  > changed
  < cluster 26 +backend@t186012 +db@t186012 +ext@t186012
  < endpoint 27 +backend@t186013 +db@t186013 +ext@t186013
  > cluster ack 26
  > endpoint ack 27
`;
