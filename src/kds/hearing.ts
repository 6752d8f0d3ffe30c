// Global's half of `heard.ts`: the zones that can be asked whether their proxies know of a change.

import type { ServerStream } from "#host/world.ts";
import { awaited, type HeardEnd, heardEnd } from "#kds/heard.ts";

export interface Hearing {
  /** A zone, which is a Kodiak, will open such a stream; until what is returned is called it is waited for. */
  expect(zone: string): () => void;
  isExpected(zone: string): boolean;
  serve(stream: ServerStream, zone: string, onFailure: (error: unknown) => void): void;
  /**
   * Resolves when all zones that are there have told all that they have, and their proxies have acknowledged what is in the store now:
   * their stores first, then their proxies. Who is away hears of it when it comes back.
   */
  everybody(): Promise<void>;
  /** A zone has answered something, or is gone. */
  look(): void;
}

/** `isBehind`: it has yet to take something; `hasTold`: all that it had when it connected. */
export function hearing(isBehind: (zone: string) => boolean, hasTold: (zone: string) => boolean): Hearing {
  const ends = new Map<HeardEnd, string>();
  const expected = new Map<symbol, string>();
  const { until, look } = awaited();

  async function others(asking: string | undefined): Promise<void> {
    await Promise.all(
      [...ends].map(async ([end, zone]) => {
        if (zone === asking) return;
        await until(() => !ends.has(end) || !isBehind(zone));
        await end.ask();
      }),
    );
  }

  return {
    expect(zone) {
      const mark = Symbol(zone);
      expected.set(mark, zone);
      return () => {
        expected.delete(mark);
        look();
      };
    },
    serve(stream, zone, onFailure) {
      const end = heardEnd(stream, () => others(zone));
      ends.set(end, zone);
      look();
      stream.sendHeaders();
      stream.onMessage((message) => {
        try {
          end.received(message);
        } catch (error) {
          onFailure(error);
        }
      });
      stream.onDrained(() => {});
      stream.onEnd(() => {
        ends.delete(end);
        end.ended();
        look();
      });
    },
    isExpected: (zone) => [...expected.values()].includes(zone),
    async everybody() {
      const isHere = (zone: string): boolean => [...ends.values()].includes(zone) && hasTold(zone);
      await until(() => [...expected.values()].every(isHere));
      await others(undefined);
    },
    look,
  };
}
