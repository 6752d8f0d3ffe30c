import assert from "node:assert/strict";
import { test } from "node:test";
import { wantedOf } from "#discovery/item.ts";
import {
  type EnvoyType,
  envoyTypes,
  envoyTypeUrl,
  isSettled,
  newOrder,
  type Order,
  type OrderEvent,
  orderStep,
  refusalsOfOrder,
} from "#discovery/order.ts";
import { hasAllWanted } from "#discovery/subscription.ts";
import { itemsOf, played, pushText, requestOf, trimmed } from "#discovery/transcript.ts";

/** As for a subscription, with the type first; `> want cluster a | listener l(a)` is one consistent change. */
function transcript(text: string): void {
  let now: Order = newOrder();
  const play = (command: string): string[] => {
    if (command.startsWith("has all of ")) {
      const type = envoyTypes.find((one) => command === `has all of ${one}?`);
      return [type && hasAllWanted(now.subscriptions[type]) ? "yes" : "no"];
    }
    if (command === "settled?") return [isSettled(now) ? "yes" : "no"];
    if (command === "refused?") return refusalsOfOrder(now).map((r) => `${r.type} ${r.name}@${r.version}: ${r.reason}`);
    const { next, send } = orderStep(now, eventOf(command));
    now = next;
    return send.map(({ type, response }) => `< ${type} ${pushText(response)}`);
  };
  assert.equal(played(text, play), trimmed(text));
}

function eventOf(command: string): OrderEvent {
  if (!command.startsWith("want ")) {
    const [type, ...rest] = command.split(" ");
    return { kind: "request", request: { typeUrl: envoyTypeUrl[type as EnvoyType], ...requestOf(rest.join(" "))! } };
  }
  const parts = command.slice("want ".length).split(" | ");
  const given = new Map(parts.map((part) => part.split(" ")).map(([type, ...words]) => [type, itemsOf(words)]));
  const changes = envoyTypes.flatMap((type) => {
    const items = given.get(type);
    return items ? [[type, { wanted: wantedOf(items), names: "everything" }] as const] : [];
  });
  return { kind: "changed", changes: new Map(changes) };
}

test("an Envoy has no listener before it has asked for listeners and acknowledged them", () => {
  transcript(`
    > want cluster a | endpoint a | listener l(a)
    > cluster ask
    < cluster 1 +a@1
    > has all of listener?
    no
    > endpoint ask a
    < endpoint 2 +a@1
    > endpoint ack 2
    > cluster ack 1
    > has all of cluster?
    yes
    > has all of listener?
    no
    > listener ask
    < listener 3 +l@1
    > has all of listener?
    no
    > listener ack 3
    > has all of listener?
    yes
  `);
});

const started = `
  > want cluster a b | secret s | endpoint a b | listener l(a) m(b) | route
  > cluster ask
  < cluster 1 +a@1 +b@1
  > endpoint ask a b
  < endpoint 2 +a@1 +b@1
  > endpoint ack 2
  > cluster ack 1
  > settled?
  no
  > listener ask
  < listener 3 +l@1 +m@1
  > listener ack 3
  > settled?
  yes
`;

test("a fresh Envoy: endpoints as soon as it asks for them, before it acknowledges the clusters", () => {
  transcript(started);
});

test("a listener moves to a new cluster: make, then switch, then break", () => {
  transcript(`
    ${started}
    > want cluster b c | endpoint b c | listener l@2(c) m(b)
    < cluster 4 +c@1
    > endpoint ask c
    < endpoint 5 +c@1
    > endpoint ack 5
    > cluster ack 4
    < listener 6 +l@2
    > settled?
    no
    > listener ack 6
    < cluster 7 -a
    > endpoint ask -a
    > cluster ack 7
    > settled?
    yes
  `);
});

test("what refers to nothing new does not wait", () => {
  transcript(`
    ${started}
    > want cluster a b c | endpoint a b c | listener l@2(b) m@2(c)
    < cluster 4 +c@1
    < listener 5 +l@2
    > listener ack 5
    > endpoint ask c
    < endpoint 6 +c@1
    > cluster ack 4
    < listener 7 +m@2
  `);
});

test("a cluster that is sent again gets its endpoints again, right behind it", () => {
  transcript(`
    ${started}
    > want cluster a@2 b
    < cluster 4 +a@2
    < endpoint 5 +a@1
    > endpoint ack 5
    > cluster ack 4
    > settled?
    yes
  `);
});

test("a cluster that is sent again while endpoints are in flight gets its endpoints when those are acknowledged", () => {
  transcript(`
    ${started}
    > want endpoint a@2 b
    < endpoint 4 +a@2
    > want cluster a@2 b
    < cluster 5 +a@2
    > endpoint ack 4
    < endpoint 6 +a@2
    > endpoint ack 6
    > cluster ack 5
  `);
});

test("after a reconnection, what Envoy has is not sent again, but endpoints of clusters that are", () => {
  transcript(`
    > want cluster a@2 b | endpoint a b | listener l(a) m(b) | route | secret
    > cluster ask has a@1 b@1
    < cluster 1 +a@2
    > endpoint ask a b has a@1 b@1
    < endpoint 2 +a@1
    > listener ask has l@1 m@1
    > endpoint ack 2
    > cluster ack 1
    < listener 3
    > listener ack 3
    > settled?
    yes
  `);
});

test("after a reconnection, no cluster is removed before Envoy has told of its listeners and given up those that need it", () => {
  transcript(`
    > want cluster b | endpoint b | listener l@2(b) | route r@2(b) | secret
    > cluster ask has a@1 b@1
    < cluster 1
    > cluster ack 1
    > endpoint ask a b has a@1 b@1
    > listener ask has l@1
    < listener 2 +l@2
    > route ask r has r@1
    < route 3 +r@2
    > listener ack 2
    > route ack 3
    < cluster 4 -a
    > cluster ack 4
    < endpoint 5 -a
  `);
});

test("a change that arrives meanwhile joins: newest state only, and nothing is removed that is wanted again", () => {
  transcript(`
    ${started}
    > want cluster b c | endpoint b c | listener l@2(c) m(b)
    < cluster 4 +c@1
    > endpoint ask c
    < endpoint 5 +c@1
    > want cluster a b d | endpoint a b d | listener l@3(a) m@3(d)
    < listener 6 +l@3
    > endpoint ack 5
    > listener ack 6
    > cluster ack 4
    < cluster 7 +d@1 -c
    > endpoint ask d -c
    < endpoint 8 +d@1
    > endpoint ack 8
    > cluster ack 7
    < listener 9 +m@3
  `);
});

test("a cluster that is wanted again while its removal is in flight is sent before what refers to it", () => {
  transcript(`
    ${started}
    > want cluster b | endpoint b | listener m(b)
    < listener 4 -l
    > listener ack 4
    < cluster 5 -a
    > want cluster a b | endpoint a b | listener l(a) m(b)
    > endpoint ask -a
    > cluster ack 5
    < cluster 6 +a@1
    > endpoint ask a
    < endpoint 7 +a@1
    > endpoint ack 7
    > cluster ack 6
    < listener 8 +l@1
  `);
});

test("endpoints that are asked for and not there are said to be missing at once, as the cluster waits for them", () => {
  transcript(`
    > want cluster a | endpoint | listener | route | secret
    > cluster ask
    < cluster 1 +a@1
    > endpoint ask a
    < endpoint 2 -a
    > cluster ack 1
  `);
});

test("endpoints of a cluster on its way are there until it is acknowledged, though another one without any is wanted by then", () => {
  transcript(`
    ${started}
    > want cluster a@2 b | endpoint a@2 b
    < cluster 4 +a@2
    < endpoint 5 +a@2
    > want cluster a@3 b | endpoint b
    > endpoint ack 5
    > endpoint ask -a
    > endpoint ask a
    < endpoint 6 +a@2
    > cluster ack 4
    < cluster 7 +a@3
    > endpoint ack 6
    < endpoint 8 +a@2
    > endpoint ack 8
    > cluster ack 7
    < endpoint 9 -a
  `);
});

test("endpoints that go away are removed when their cluster is acknowledged, at once where it waits for them", () => {
  transcript(`
    ${started}
    > want cluster a@2 b
    < cluster 4 +a@2
    < endpoint 5 +a@1
    > endpoint ack 5
    > want endpoint b
    > cluster ack 4
    < endpoint 6 -a
    > endpoint ack 6
    > want cluster a@3 b
    < cluster 7 +a@3
    < endpoint 8 -a
  `);
});

test("a refused cluster: what refers to it keeps its last version, all else goes on", () => {
  transcript(`
    ${started}
    > want cluster a b bad c | endpoint a b bad c | listener l@2(bad) m@2(c)
    < cluster 4 +bad@1 +c@1
    > cluster nack 4 bad: no
    < cluster 5 +bad@1
    > cluster nack 5 bad: no
    < cluster 6 +c@1
    > endpoint ask c
    < endpoint 7 +c@1
    > endpoint ack 7
    > cluster ack 6
    < listener 8 +m@2
    > listener ack 8
    > refused?
    cluster bad@1: bad: no
    > settled?
    yes
    > want cluster b bad c | endpoint b bad c
    > settled?
    yes
    > want cluster b bad@2 c
    < cluster 9 +bad@2
    > endpoint ask bad
    < endpoint 10 +bad@1
    > cluster ack 9
    < listener 11 +l@2
    > listener ack 11
    < cluster 12 -a
  `);
});

test("a refused listener keeps the clusters of its last version", () => {
  transcript(`
    ${started}
    > want cluster b c | endpoint b c | listener l@2(c) m(b)
    < cluster 4 +c@1
    > endpoint ask c
    < endpoint 5 +c@1
    > cluster ack 4
    < listener 6 +l@2
    > listener nack 6 no
    > refused?
    listener l@2: no
    > endpoint ack 5
    > settled?
    yes
    > want cluster b c | listener l@3(c) m(b)
    < listener 7 +l@3
    > listener ack 7
    < cluster 8 -a
  `);
});

test("of a refused response a part may be applied: the clusters that it refers to stay until that is known", () => {
  transcript(`
    ${started}
    > want cluster a b c | endpoint a b c | listener l@2(c) m@2(c)
    < cluster 4 +c@1
    > endpoint ask c
    < endpoint 5 +c@1
    > endpoint ack 5
    > cluster ack 4
    < listener 6 +l@2 +m@2
    > listener nack 6 no
    < listener 7 +l@2
    > want cluster a b | endpoint a b | listener l(a) m(b)
    > listener nack 7 no
    < listener 8 +m@1
    > listener ack 8
    < cluster 9 -c
  `);
});

test("a cluster that is sent again while its endpoints are refused gets the last that were accepted", () => {
  transcript(`
    ${started}
    > want endpoint a@2 b
    < endpoint 4 +a@2
    > endpoint nack 4 no
    > want cluster a@2 b
    < cluster 5 +a@2
    < endpoint 6 +a@1
    > endpoint ack 6
    > refused?
    endpoint a@2: no
    > want endpoint a@3 b
    < endpoint 7 +a@3
  `);
});

test("endpoints that are refused behind their cluster are followed by the last that were accepted", () => {
  transcript(`
    ${started}
    > want cluster a@2 b | endpoint a@2 b
    < cluster 4 +a@2
    < endpoint 5 +a@2
    > cluster ack 4
    > endpoint nack 5 no
    < endpoint 6 +a@1
    > endpoint ack 6
    > refused?
    endpoint a@2: no
    > settled?
    yes
  `);
});

test("an Envoy that waits for its first listeners is not told that there are none while their clusters are under way", () => {
  transcript(`
    > want cluster a | endpoint a | listener l(a) | route | secret
    > listener ask
    > cluster ask
    < cluster 1 +a@1
    > endpoint ask a
    < endpoint 2 +a@1
    > cluster ack 1
    < listener 3 +l@1
  `);
});

test("secrets go at once, and are removed when no cluster or listener can need them", () => {
  transcript(`
    ${started}
    > secret ask s
    < secret 4 +s@1
    > secret ack 4
    > want secret s@2 | cluster a@2 b
    < cluster 5 +a@2
    < secret 6 +s@2
    < endpoint 7 +a@1
    > secret ack 6
    > endpoint ack 7
    > want secret
    > cluster ack 5
    < secret 8 -s
  `);
});

test("a route that Envoy has is removed when no listener that it may still have can need it", () => {
  transcript(`
    > want cluster a | endpoint a | listener l h | route h(a) | secret
    > cluster ask
    < cluster 1 +a@1
    > endpoint ask a
    < endpoint 2 +a@1
    > endpoint ack 2
    > cluster ack 1
    > listener ask
    < listener 3 +l@1 +h@1
    > route ask h
    < route 4 +h@1
    > listener ack 3
    > route ack 4
    > want cluster | endpoint | listener l | route
    < listener 5 -h
    > listener ack 5
    < route 6 -h
    > route ack 6
    < cluster 7 -a
  `);
});

test("a type that is not served is not answered", () => {
  const request = { typeUrl: "type.googleapis.com/envoy.service.runtime.v3.Runtime", ...requestOf("ask rtds")! };
  const now = newOrder();
  assert.deepEqual(orderStep(now, { kind: "request", request }), { next: now, send: [] });
});
