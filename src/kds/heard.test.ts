import assert from "node:assert/strict";
import { test } from "node:test";
import { GrpcError, grpcCode } from "#host/world.ts";
import { type HeardEnd, heardEnd } from "#kds/heard.ts";

/** Two ends whose messages arrive at once, and what was said. */
function ends(answerOfB: () => Promise<void>) {
  const said: string[] = [];
  const to = (other: () => HeardEnd) => ({
    send([bytes = new Uint8Array()]: readonly Uint8Array[]) {
      said.push(new TextDecoder().decode(bytes));
      other().received(bytes);
      return true;
    },
  });
  const a: HeardEnd = heardEnd(
    to(() => b),
    async () => {},
  );
  const b: HeardEnd = heardEnd(
    to(() => a),
    answerOfB,
  );
  return { a, b, said };
}

test("a question is answered when what it waits for has come, each for itself", async () => {
  const waiting: (() => void)[] = [];
  const { a, said } = ends(() => new Promise((resolve) => waiting.push(resolve)));
  const order: number[] = [];
  const first = a.ask().then(() => order.push(1));
  const second = a.ask().then(() => order.push(2));
  assert.deepEqual(said, ['{"ask":1}', '{"ask":2}']);
  waiting[1]?.();
  await second;
  waiting[0]?.();
  await first;
  assert.deepEqual(order, [2, 1]);
});

test("nobody waits for who is gone", async () => {
  const { a, said } = ends(() => new Promise(() => {}));
  const asked = a.ask();
  a.ended();
  await asked;
  await a.ask();
  assert.deepEqual(said, ['{"ask":1}']);
});

test("what is neither question nor answer is an error", () => {
  const { a } = ends(async () => {});
  for (const text of ["", "[]", "{}", '{"ask":"1"}'])
    assert.throws(() => a.received(new TextEncoder().encode(text)), text);
});

test("who sends what is neither, or asks without end and waits for nothing, is told so", () => {
  const end = heardEnd({ send: () => true }, () => new Promise(() => {}));
  const receive = (text: string) => end.received(new TextEncoder().encode(text));
  const refused = (code: number) => (error: unknown) => error instanceof GrpcError && error.status.code === code;
  for (const text of ["{", "[]", "null", '{"ask":"1"}', `${"[".repeat(100_000)}${"]".repeat(100_000)}`])
    assert.throws(() => receive(text), refused(grpcCode.invalidArgument));
  for (let ask = 0; ask < 10_000; ask++) receive(JSON.stringify({ ask }));
  assert.throws(() => receive('{"ask":10000}'), refused(grpcCode.resourceExhausted));
});
