import assert from "node:assert/strict";
import { test } from "node:test";
import { wantedOf } from "#discovery/item.ts";
import { eventsOf } from "#discovery/request.ts";
import {
  absorb,
  type Event,
  newSubscription,
  offer,
  refusalsOf,
  type Subscription,
  step,
} from "#discovery/subscription.ts";
import { itemsOf, played, pushText, requestOf, trimmed } from "#discovery/transcript.ts";

function transcript(text: string, options = { answersMissing: false }): void {
  let now: Subscription = newSubscription(options);
  let nonce = 0;
  const freshNonce = () => String(++nonce);
  const play = (command: string): string[] => {
    if (command === "refused?") return refusalsOf(now).map((r) => `${r.name}@${r.version}: ${r.reason}`);
    const request = requestOf(command);
    const events: readonly Event[] = request
      ? eventsOf(request)
      : [{ kind: "changed", wanted: wantedOf(itemsOf(command.split(" ").slice(1))), names: "everything" }];
    const offered = offer(events.reduce(absorb, now), freshNonce);
    now = offered.next;
    return offered.send ? [`< ${pushText(offered.send)}`] : [];
  };
  assert.equal(played(text, play), trimmed(text));
}

test("the first wildcard request is answered, with nothing if there is nothing; nothing is said before the wanted set is known", () => {
  transcript(`
    > ask *
    > want
    < 1
    > ack 1
    > want a
    < 2 +a@1
    > ack 2
    > want
    < 3 -a
  `);
});

test("one response at a time: a slow peer gets the newest state, not every state", () => {
  transcript(`
    > want a b
    > ask *
    < 1 +a@1 +b@1
    > want a@2 b
    > want a@3 b
    > want a@3
    > ack 1
    < 2 +a@3 -b
    > want a@4
    > want a@3
    > ack 2
  `);
});

test("an answer to another response than the one in flight changes nothing", () => {
  transcript(`
    > want a
    > ask *
    < 1 +a@1
    > want a@2
    > ack 7
    > nack 0 what?
    > ack 1
    < 2 +a@2
  `);
});

test("what the peer holds from an earlier stream is not sent again, and what is gone meanwhile is removed", () => {
  transcript(`
    > want a b@2 c
    > ask * has a@1 b@1 d@1
    < 1 +b@2 +c@1 -d
  `);
  transcript(`
    > ask * has a@1 b@1 d@1
    > want a b@2 c
    < 1 +b@2 +c@1 -d
  `);
  transcript(`
    > want a b@2 c
    > ask a b has a@1 b@1 d@1
    < 1 +b@2
  `);
});

test("names: only what is asked for, again when asked again, no more after unsubscribing", () => {
  transcript(`
    > want a b c
    > ask a b
    < 1 +a@1 +b@1
    > ack 1
    > want a@2 b c@2
    < 2 +a@2
    > ack 2
    > ask b
    < 3 +b@1
    > ask -a c
    > ack 3
    < 4 +c@2
    > want a@3 b@2 c@2
    > ack 4
    < 5 +b@2
  `);
});

test("a name that is unsubscribed and asked for again is sent again, also while it is in flight", () => {
  transcript(`
    > want a
    > ask a
    < 1 +a@1
    > ask -a
    > ask a
    > ack 1
    < 2 +a@1
  `);
});

test("asking for what does not exist is answered as removed where the peer waits for it (Envoy), and else when it exists (KDS)", () => {
  const asked = (answer: string): string => `
    > want a
    > ask a missing
    < 1 +a@1${answer}
    > ack 1
    > want a missing
    < 2 +missing@1
  `;
  transcript(asked(" -missing"), { answersMissing: true });
  transcript(asked(""), { answersMissing: false });
});

test("leaving the wildcard keeps the names that were asked for", () => {
  transcript(`
    > want a b
    > ask *
    < 1 +a@1 +b@1
    > ack 1
    > ask a
    < 2 +a@1
    > ack 2
    > ask -*
    > want a@2 b@2
    < 3 +a@2
    > ack 3
    > ask *
    < 4 +b@2
  `);
});

test("a refused response is halved until what is wrong is alone, and what is refused alone is quarantined until its version changes", () => {
  transcript(`
    > want a bad c d e
    > ask *
    < 1 +a@1 +bad@1 +c@1 +d@1 +e@1
    > nack 1 something is bad
    < 2 +a@1 +bad@1 +c@1
    > nack 2 something is bad
    < 3 +d@1 +e@1
    > ack 3
    < 4 +a@1 +bad@1
    > nack 4 something is bad
    < 5 +c@1
    > ack 5
    < 6 +a@1
    > ack 6
    < 7 +bad@1
    > nack 7 bad:   this\tone
    > refused?
    bad@1: bad: this one
    > want a@2 bad c d e
    < 8 +a@2
    > ack 8
    > want a@2 bad@2 c d e
    < 9 +bad@2
    > refused?
    > ack 9
  `);
});

test("a refusal is remembered over a refused response in between", () => {
  transcript(`
    > want a b
    > ask *
    < 1 +a@1 +b@1
    > ack 1
    > want a@2 b
    < 2 +a@2
    > nack 2 no
    > want a@3 b@3
    < 3 +a@3 +b@3
    > want a@2 b@3
    > nack 3 no
    < 4 +b@3
    > ack 4
    > refused?
    a@2: no
  `);
});

test("what Envoy refuses by name is quarantined without being sent again, and the rest is sent together", () => {
  transcript(`
    > want a bad c hash worse
    > ask *
    < 1 +a@1 +bad@1 +c@1 +hash@1 +worse@1
    > nack 1 Error adding/updating cluster(s) bad: ring hash: too small, worse: no
    < 2 +a@1 +c@1 +hash@1
    > ack 2
    > refused?
    bad@1: bad: ring hash: too small
    worse@1: worse: no
  `);
});

test("a refused version that comes back is still refused, until the peer has accepted another", () => {
  transcript(`
    > want a
    > ask *
    < 1 +a@1
    > ack 1
    > want a@2
    < 2 +a@2
    > nack 2 no
    > want a
    > refused?
    > want a@2
    > refused?
    a@2: no
    > want a@3
    < 3 +a@3
    > ack 3
    > want a@2
    < 4 +a@2
  `);
});

test("suspects and news take turns", () => {
  transcript(`
    > want a b c
    > ask *
    < 1 +a@1 +b@1 +c@1
    > nack 1 no
    < 2 +a@1 +b@1
    > want a b c news
    > nack 2 no
    < 3 +news@1
    > want a b c news later
    > ack 3
    < 4 +c@1
    > ack 4
    < 5 +later@1
    > ack 5
    < 6 +a@1
    > ack 6
    < 7 +b@1
  `);
});

test("a suspect goes out in its newest version, or as a removal", () => {
  transcript(`
    > want a b
    > ask *
    < 1 +a@1 +b@1
    > want a@2
    > nack 1 no
    < 2 +a@2
    > ack 2
    < 3 -b
    > ack 3
  `);
});

test("a quarantined object that goes away is removed only if the peer has an older one", () => {
  transcript(`
    > want a
    > ask *
    < 1 +a@1
    > nack 1 no
    > want
    > want b
    < 2 +b@1
    > ack 2
    > want b@2
    < 3 +b@2
    > nack 3 no
    > refused?
    b@2: no
    > want
    < 4 -b
    > refused?
  `);
});

test("the reason is kept short: its beginning and its end", () => {
  transcript(`
    > want a
    > ask *
    < 1 +a@1
    > nack 1 ${"x".repeat(1000)}y
    > refused?
    a@1: ${"x".repeat(100)} … ${"x".repeat(199)}y
  `);
});

test("a quiet subscription refers to the shared snapshot and holds nothing of its own", () => {
  const wanted = wantedOf(itemsOf(Array.from({ length: 1000 }, (_, i) => `n${i}`)));
  const events: readonly Event[] = [
    { kind: "changed", wanted, names: "everything" },
    { kind: "subscribed", subscribe: ["*"], unsubscribe: [], holds: new Map() },
    { kind: "ack", nonce: "1" },
  ];
  const now = events.reduce(
    (state, event) => step(state, event, () => "1").next,
    newSubscription({ answersMissing: false }),
  );
  assert.equal(now.wanted, wanted);
  assert.equal(now.behind.size, 0);
  assert.equal(now.inFlight, undefined);
});
