// What one end of a link refuses of what the other sends, by name, since when and why: of the newest answer to each name. Kept over
// connections, so that what is refused again is refused since then.

import type { Clock } from "#host/world.ts";

export interface Refused {
  readonly kind: string;
  /** As on the wire; empty where a peer does not say which of several. */
  readonly name: string;
  readonly why: string;
  readonly isTooLarge: boolean;
  readonly sinceMs: number;
}

/** An answer, given or got. */
export interface Answered {
  /** The first of a connection: what it does not refuse of this kind is refused no longer. */
  readonly isFirst: boolean;
  /** All that was answered. */
  readonly names: Iterable<string>;
  /** name → why. */
  readonly refused: ReadonlyMap<string, string>;
  /** The same of what was too large to be sent. */
  readonly tooLarge?: ReadonlyMap<string, string>;
}

export interface RefusedList {
  /** Returns what is refused for a reason that it was not refused for before. */
  answered(kind: string, answer: Answered): readonly Refused[];
  all(): readonly Refused[];
}

export function refusedList(clock: Pick<Clock, "now">): RefusedList {
  const byKind = new Map<string, Map<string, Refused>>();
  return {
    answered(kind, { isFirst, names, refused, tooLarge = new Map() }) {
      const before = byKind.get(kind) ?? new Map<string, Refused>();
      const after = new Map(isFirst ? [] : before);
      const news: Refused[] = [];
      for (const name of names) after.delete(name);
      const add = (isTooLarge: boolean, [name, lines]: readonly [string, string]): void => {
        const why = lines.replaceAll("\n", " ");
        const known = before.get(name);
        const isKnown = known?.why === why;
        const one = { kind, name, why, isTooLarge, sinceMs: isKnown ? known.sinceMs : clock.now() };
        after.set(name, one);
        if (!isKnown) news.push(one);
      };
      for (const one of tooLarge) add(true, one);
      for (const one of refused) add(false, one);
      byKind.set(kind, after);
      return news;
    },
    all: () => [...byKind.values()].flatMap((refused) => [...refused.values()]),
  };
}

/** One line a resource: `<name on the wire>: <why>`. Kuma says why only, and reads it as text. */
export const refusalText = (refused: ReadonlyMap<string, string>): string =>
  [...refused].map(([name, why]) => `${name}: ${why.replaceAll("\n", " ")}`).join("\n");

/** Which of the names that were sent a refusal is about. */
export function refusedIn(text: string, sent: ReadonlySet<string>): ReadonlyMap<string, string> {
  const named = text.split("\n").flatMap((line) => {
    const at = line.indexOf(": ");
    const name = line.slice(0, at);
    return at > 0 && sent.has(name) ? [[name, line.slice(at + 2)] as const] : [];
  });
  if (named.length > 0) return new Map(named);
  const [only = ""] = sent.size === 1 ? sent : [];
  return new Map([[only, text]]);
}
