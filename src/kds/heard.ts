// Whether the proxies of other zones know what has changed here: asked when a proxy leaves, as it serves until they do. A stream
// from each zone to global, between Kodiaks only, on which each side asks and answers. Nothing is said on it at rest.
//
//   zone-b ── ask ──► global ── (zone-a has all that global has) ask ──► zone-a
//          ◄─ answer ─       ◄───────────────── answer: its proxies have acknowledged it

import { GrpcError, grpcCode, type Stream } from "#host/world.ts";
import { isObject, parseJson, whyNotJson } from "#lib/json.ts";

export interface HeardEnd {
  /** Resolves when the other end has answered, or is gone. */
  ask(): Promise<void>;
  /** Throws on what is neither question nor answer. */
  received(message: Uint8Array): void;
  ended(): void;
}

/** `answer`: what an answer to the other end waits for. */
export function heardEnd(stream: Pick<Stream, "send">, answer: () => Promise<void>): HeardEnd {
  const asked = new Map<number, () => void>();
  let count = 0;
  let isOver = false;
  /** Of the other end's. */
  let unanswered = 0;
  const say = (what: object): void => {
    if (!isOver) stream.send([new TextEncoder().encode(JSON.stringify(what))]);
  };
  return {
    ask: () =>
      new Promise((resolve) => {
        if (isOver) return resolve();
        asked.set(++count, resolve);
        say({ ask: count });
      }),
    received(message) {
      const said = saidIn(message);
      if (isObject(said) && typeof said.ask === "number") {
        const { ask } = said;
        if (unanswered === mostUnanswered) throw tooMany;
        unanswered++;
        void answer().then(() => {
          unanswered--;
          say({ answer: ask });
        });
      } else if (isObject(said) && typeof said.answer === "number") {
        asked.get(said.answer)?.();
        asked.delete(said.answer);
      } else throw malformed("neither a question nor an answer");
    },
    ended() {
      isOver = true;
      for (const resolve of asked.values()) resolve();
      asked.clear();
    },
  };
}

const malformed = (message: string): GrpcError => new GrpcError({ code: grpcCode.invalidArgument, message });

function saidIn(message: Uint8Array): unknown {
  try {
    return parseJson(new TextDecoder().decode(message));
  } catch (error) {
    throw malformed(`not JSON: ${whyNotJson(error)}`);
  }
}

/** One for each proxy that leaves at the same time. */
const mostUnanswered = 10_000;
const tooMany = new GrpcError({
  code: grpcCode.resourceExhausted,
  message: `more than ${mostUnanswered} questions came without waiting for an answer`,
});

/** Waits for what has no event of its own: looked at again whenever `look` is called. */
export interface Awaited {
  until(holds: () => boolean): Promise<void>;
  look(): void;
}
export function awaited(): Awaited {
  const waiting = new Map<() => void, () => boolean>();
  const look = (): void => {
    for (const [resolve, holds] of waiting) {
      if (!holds()) continue;
      waiting.delete(resolve);
      resolve();
    }
  };
  return {
    until: (holds) =>
      new Promise((resolve) => {
        waiting.set(resolve, holds);
        look();
      }),
    look,
  };
}
