// Whatever happens in whatever order, a peer ends with what is wanted, but for what it refuses, and there is never more than
// one response in flight.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Item, versionOf, wantedOf } from "#discovery/item.ts";
import { eventsOf, type Request } from "#discovery/request.ts";
import { absorb, isQuiet, newSubscription, offer, type Push, type Subscription } from "#discovery/subscription.ts";
import { requestOf } from "#discovery/transcript.ts";

interface Habits {
  /** An Envoy's way for named types; else everything is asked for. */
  readonly asksByName: boolean;
  /** KDS receivers keep what is valid in a response that they refuse; Envoy keeps nothing of it. */
  readonly keepsValid: boolean;
}

class Stream {
  readonly habits: Habits;
  readonly has = new Map<string, Item>();
  readonly names = new Set<string>();
  wanted: ReadonlyMap<string, Item> = new Map();
  state: Subscription;
  nonce = 0;
  requests: Request[] = [];
  responses: Push[] = [];
  isUnanswered = false;

  constructor(habits: Habits) {
    this.habits = habits;
    this.state = newSubscription({ answersMissing: habits.asksByName });
    this.connect();
  }

  connect(): void {
    this.state = newSubscription({ answersMissing: this.habits.asksByName });
    this.requests = [];
    this.responses = [];
    this.isUnanswered = false;
    const names = this.habits.asksByName ? [...this.names] : ["*"];
    const held = [...this.has.values()].map(({ name, version }) => `${name}@${version}`);
    if (names.length > 0) this.requests.push(requestOf(["ask", ...names, "has", ...held].join(" "))!);
    this.change(this.wanted, undefined);
  }

  change(wanted: ReadonlyMap<string, Item>, names: readonly string[] | undefined): void {
    this.wanted = wanted;
    this.state = absorb(this.state, { kind: "changed", wanted: wantedOf(wanted), names: names ?? "everything" });
    this.send();
  }

  send(): void {
    const { next, send } = offer(this.state, () => String(++this.nonce));
    this.state = next;
    if (!send) return;
    assert.ok(!this.isUnanswered, "two responses in flight");
    this.isUnanswered = true;
    this.responses.push(send);
  }

  toggle(name: string): void {
    if (!this.habits.asksByName) return;
    if (this.names.delete(name)) {
      this.has.delete(name);
      this.requests.push(requestOf(`ask -${name}`)!);
    } else {
      this.names.add(name);
      this.requests.push(requestOf(`ask ${name}`)!);
    }
  }

  up(): boolean {
    const request = this.requests.shift();
    if (!request) return false;
    if (request.responseNonce !== "") this.isUnanswered = false;
    this.state = eventsOf(request).reduce(absorb, this.state);
    this.send();
    return true;
  }

  down(): boolean {
    const push = this.responses.shift();
    if (!push) return false;
    const isRefused = push.upsert.some(isBad);
    for (const item of push.upsert) {
      if (isBad(item) || (isRefused && !this.habits.keepsValid)) continue;
      if (!this.habits.asksByName || this.names.has(item.name)) this.has.set(item.name, item);
    }
    if (!isRefused || this.habits.keepsValid) for (const name of push.remove) this.has.delete(name);
    this.requests.push(requestOf(isRefused ? `nack ${push.nonce} bad` : `ack ${push.nonce}`)!);
    return true;
  }

  drain(): void {
    for (let steps = 0; this.up() || this.down(); steps++) assert.ok(steps < 1000, "never quiet");
  }

  assertConverged(): void {
    assert.ok(isQuiet(this.state) || !this.state.asked);
    for (const name of new Set([...this.wanted.keys(), ...this.has.keys()])) {
      const item = this.wanted.get(name);
      if ((item && isBad(item)) || (this.habits.asksByName && !this.names.has(name))) continue;
      assert.equal(versionOf(this.has.get(name)), versionOf(item), name);
    }
  }
}

const isBad = (item: Item): boolean => item.version.startsWith("bad");

const name = fc.constantFrom("a", "b", "c", "d", "e", "f");
const version = fc.oneof(
  { arbitrary: fc.constantFrom("1", "2", "3"), weight: 6 },
  { arbitrary: fc.constantFrom("bad1", "bad2"), weight: 1 },
);
const wanted = fc
  .dictionary(name, version, { noNullPrototype: true })
  .map((versions) => new Map(Object.entries(versions).map(([name, version]) => [name, itemOf(name, version)])));
const itemOf = (name: string, version: string): Item => ({ name, version, bytes: new Uint8Array() });

const happening = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("change" as const), wanted }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("set" as const), name, version: fc.option(version) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("toggle" as const), name }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("up" as const) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("down" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("connect" as const) }) },
);

test("a peer ends with what is wanted, but for what it refuses", () => {
  const habits = fc.record({ asksByName: fc.boolean(), keepsValid: fc.boolean() });
  fc.assert(
    fc.property(habits, fc.array(happening, { maxLength: 60 }), wanted, (habits, history, last) => {
      const stream = new Stream(habits);
      for (const event of history) {
        switch (event.kind) {
          case "change":
            stream.change(event.wanted, undefined);
            break;
          case "set": {
            const next = new Map(stream.wanted);
            if (event.version === null) next.delete(event.name);
            else next.set(event.name, itemOf(event.name, event.version));
            stream.change(next, [event.name]);
            break;
          }
          case "toggle":
            stream.toggle(event.name);
            break;
          case "up":
          case "down":
          case "connect":
            stream[event.kind]();
        }
      }
      stream.change(last, undefined);
      stream.drain();
      stream.assertConverged();
    }),
    { numRuns: 3000 },
  );
});
