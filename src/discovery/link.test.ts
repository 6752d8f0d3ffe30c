// Where a link stands, as transcripts: what was applied goes in, the state comes out.
//
//   > S 1/5 Mesh! +a ?b ~c whole   store S, opening 1, revision 5; first response of Mesh: a was brought or removed, b is absent,
//                                  c would change trust; every kind has been answered. Without `!` a later response.
//   > release a, > accept

import assert from "node:assert/strict";
import { test } from "node:test";
import { afterApplied, afterReleased, type Held, type LinkState, newLink, standingOf } from "#discovery/link.ts";
import { played, trimmed } from "#discovery/transcript.ts";

const positionOf = (store: string, moment: string) => {
  const [opening = "", revision] = moment.split("/");
  return { store, opening, revision: Number(revision) };
};

/** `resumed`: what senders find in their past, as `<store> <moment>`. */
function holds(text: string, resumed: readonly string[] = []): void {
  let link: LinkState = newLink;
  const state = (): readonly string[] => {
    const { cursor, held } = link;
    const at = cursor ? `${cursor.store} ${cursor.opening}/${cursor.revision}` : "nothing";
    const lines = held.map(({ kind, name, what, why }) => `  ${what} of ${kind} ${name}: ${why}`);
    return [`at ${at}`, ...lines].map((line) => line.trim());
  };
  const play = (command: string): readonly string[] => {
    const [verb = "", ...words] = command.split(" ");
    if (verb === "accept") link = afterReleased(link, new Set(link.held));
    else if (verb === "release")
      link = afterReleased(link, new Set(link.held.filter(({ name }) => words.includes(name))));
    else {
      const [moment = "", ...rest] = words;
      const sender = verb === "-" ? undefined : positionOf(verb, moment);
      const { cursor } = link;
      const seen = cursor ? `${cursor.store} ${cursor.opening}/${cursor.revision}` : "";
      const standing = standingOf(cursor, sender, resumed.includes(`${verb} ${moment} has ${seen}`));
      const kind = rest.find((word) => /^[A-Z]/.test(word)) ?? "";
      const named = (mark: string) => rest.filter((word) => word[0] === mark).map((word) => word.slice(1));
      const why = standing === "known" ? "unremembered" : standing;
      const one =
        (what: Held["what"]) =>
        (name: string): Held => ({ kind: kind.replace("!", ""), name, what, why });
      link = afterApplied(link, {
        sender,
        isWhole: rest.includes("whole"),
        kinds: [
          {
            kind: kind.replace("!", ""),
            isInitial: kind.endsWith("!"),
            settled: new Set(named("+")),
            held: [...named("?").map(one("removal")), ...named("~").map(one("change"))],
          },
        ],
        nowMs: 0,
      });
    }
    return state();
  };
  assert.equal(played(text, play), trimmed(text));
}

test("the cursor moves when every kind has been answered, and with each revision after that", () =>
  holds(`
    > S 1/5 Mesh! +a
    at nothing
    > S 1/5 Timeout! whole
    at S 1/5
    > S 1/6 Timeout whole
    at S 1/6
  `));

test("what another store lacks is held, and what would replace trust; the cursor stays", () =>
  holds(`
    > S 1/5 Mesh! +a +b whole
    at S 1/5
    > T 1/9 Mesh! ?a ~b whole
    at S 1/5
    removal of Mesh a: another store
    change of Mesh b: another store
    > T 1/10 Timeout +t whole
    at S 1/5
    removal of Mesh a: another store
    change of Mesh b: another store
  `));

test("it ends name by name, as they come back; the last one moves the cursor", () =>
  holds(`
    > S 1/5 Mesh! +a +b whole
    at S 1/5
    > T 1/9 Mesh! ?a ?b whole
    at S 1/5
    removal of Mesh a: another store
    removal of Mesh b: another store
    > T 1/10 Mesh +a whole
    at S 1/5
    removal of Mesh b: another store
    > T 1/11 Mesh +b whole
    at T 1/11
    > T 1/12 Mesh +a whole
    at T 1/12
  `));

test("it ends when it is accepted: then that store is the known one", () =>
  holds(`
    > S 1/5 Mesh! +a +b whole
    at S 1/5
    > T 1/9 Mesh! ?a ?b whole
    at S 1/5
    removal of Mesh a: another store
    removal of Mesh b: another store
    > release a
    at S 1/5
    removal of Mesh b: another store
    > accept
    at T 1/9
  `));

test("it ends when the known store is back, restarted or not", () =>
  holds(
    `
    > S 1/5 Mesh! +a whole
    at S 1/5
    > T 1/9 Mesh! ?a whole
    at S 1/5
    removal of Mesh a: another store
    > S 2/7 Mesh! whole
    at S 2/7
  `,
    ["S 2/7 has S 1/5"],
  ));

test("an older state of the known store is not known, however far it has gone on", () =>
  holds(`
    > S 1/5 Mesh! +a whole
    at S 1/5
    > S 2/4 Mesh! ?a whole
    at S 1/5
    removal of Mesh a: older state
    > S 2/9 Mesh! ?a whole
    at S 1/5
    removal of Mesh a: older state
  `));

test("what a known store lacks without remembering why is held, too; a later removal by name ends that", () =>
  holds(
    `
    > S 1/5 Mesh! +a whole
    at S 1/5
    > S 2/7 Mesh! ?a whole
    at S 1/5
    removal of Mesh a: unremembered
    > S 2/8 Mesh +a whole
    at S 2/8
  `,
    ["S 2/7 has S 1/5"],
  ));

test("the first store that is seen holds what was there before; one that does not name itself never becomes known", () => {
  holds(`
    > S 1/5 Mesh! ?a whole
    at nothing
    removal of Mesh a: first
    > accept
    at S 1/5
  `);
  holds(`
    > - 0 Mesh! ?a whole
    at nothing
    removal of Mesh a: nameless
    > accept
    at nothing
  `);
});
