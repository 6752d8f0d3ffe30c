// Protocols in tests as text: lines that begin with `>` go in, what comes out is written below them, and the whole must be
// the text as it was written.
//
//   > want a b@2(c)        an item is name[@version][(clusters it refers to)]; the version is 1 where none is given
//   > ask a -b             subscribe to a, unsubscribe from b; `ask` alone is Envoy's way to say all
//   > ask * has a@1        with what is held from an earlier stream
//   > ack 1, > nack 1 why
//   < 1 +a@1 -b            a response: its nonce, what it brings, what it removes

import type { Item } from "#discovery/item.ts";
import type { Request } from "#discovery/request.ts";
import type { Push } from "#discovery/subscription.ts";

/** The text with what `play` answers to each `>` line. */
export function played(text: string, play: (command: string) => readonly string[]): string {
  const lines = trimmed(text).split("\n");
  return lines
    .filter((line) => line.startsWith(">"))
    .flatMap((line) => [line, ...play(line.slice(1).trim())])
    .join("\n");
}

export const trimmed = (text: string): string =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join("\n");

export const itemsOf = (words: readonly string[]): ReadonlyMap<string, Item> =>
  new Map(words.map((word) => itemOf(word)).map((item) => [item.name, item]));

export function itemOf(word: string): Item {
  const [, name, version, refers] = /^([^@(]+)(?:@([^(]+))?(?:\((.*)\))?$/.exec(word)!;
  const clusters = refers === undefined ? {} : { refers: refers.split(",").filter((cluster) => cluster !== "") };
  return { name: name!, version: version ?? "1", bytes: new Uint8Array(), ...clusters };
}

/** A request from `ask …`, `ack …` or `nack …`; `undefined` if it is none of these. */
export function requestOf(command: string): Request | undefined {
  const [verb, ...words] = command.split(" ");
  switch (verb) {
    case "ask": {
      const has = words.includes("has") ? words.indexOf("has") : words.length;
      const held = words.slice(has + 1).map((word) => itemOf(word));
      const names = words.slice(0, has);
      return {
        ...silence,
        resourceNamesSubscribe: names.filter((name) => !name.startsWith("-")),
        resourceNamesUnsubscribe: names.filter((name) => name.startsWith("-")).map((name) => name.slice(1)),
        initialResourceVersions: Object.fromEntries(held.map(({ name, version }) => [name, version])),
      };
    }
    case "ack":
      return { ...silence, responseNonce: words[0]! };
    case "nack":
      return { ...silence, responseNonce: words[0]!, errorDetail: statusOf(words.slice(1).join(" ")) };
  }
  return undefined;
}

export const pushText = ({ nonce, upsert, remove }: Push): string =>
  [nonce, ...upsert.map(({ name, version }) => `+${name}@${version}`), ...remove.map((name) => `-${name}`)].join(" ");

const silence: Request = {
  resourceNamesSubscribe: [],
  resourceNamesUnsubscribe: [],
  initialResourceVersions: {},
  responseNonce: "",
};

const statusOf = (message: string): NonNullable<Request["errorDetail"]> => ({
  $typeName: "google.rpc.Status",
  code: 13,
  message,
  details: [],
});
