// Tokens of proxies that are connected are checked again when that may come out otherwise: a key or a list of revoked tokens has
// changed, or the tags of the proxy's Dataplane. They are checked as of when they were shown: one that expires while its proxy is
// connected lets it no longer in, and ends nothing.

import { isEqual } from "#lib/json.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import type { Change, Store } from "#resources/store.ts";
import { bearerOf } from "#zone/claims.ts";
import type { TokenCheck } from "#zone/token-check.ts";

export interface ShownToken {
  /** As its token was checked. */
  readonly proxy: Resource;
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** `moment` of the watch before that. */
  readonly since: number;
  /** Called once, with why it is not taken any more. */
  readonly onRefused: (error: unknown) => void;
}

export interface TokenWatch {
  /** Grows with each change that could concern a token. */
  readonly moment: number;
  /** Until the function that is returned is called. What has changed between `since` and now is looked at, too. */
  hold(shown: ShownToken): () => void;
  stop(): void;
}

export function tokenWatch(store: Pick<Store, "get" | "watch">, tokens: TokenCheck): TokenWatch {
  const held = new Set<ShownToken>();
  let moment = 0;

  const unwatch = store.watch(({ changes }) => {
    const secrets = changes.filter(({ id }) => id.kind === "Secret" || id.kind === "GlobalSecret").map(({ id }) => id);
    const retagged = new Set(changes.filter(isRetagged).map(({ id }) => keyOf(id)));
    if (secrets.length === 0 && retagged.size === 0) return;
    moment++;
    for (const one of held) {
      const { proxy } = one;
      const isRetaggedItself = proxy.kind === "Dataplane" && retagged.has(keyOf(proxy));
      if (isRetaggedItself || secrets.some((id) => tokens.concerns(id, proxy))) void checkAgain(one);
    }
  });

  async function checkAgain(one: ShownToken): Promise<void> {
    try {
      // One whose Dataplane was deleted has the token of what it was.
      await tokens.check(store.get(one.proxy) ?? one.proxy, one.token, one.at);
    } catch (error) {
      if (held.delete(one)) one.onRefused(error);
    }
  }

  return {
    get moment() {
      return moment;
    },
    hold(shown) {
      held.add(shown);
      if (shown.since !== moment) void checkAgain(shown);
      return () => void held.delete(shown);
    },
    stop: unwatch,
  };
}

const isRetagged = ({ id, before, after }: Change): boolean =>
  id.kind === "Dataplane" && before !== undefined && after !== undefined && !isEqual(bearerOf(before), bearerOf(after));
