import assert from "node:assert/strict";
import { test } from "node:test";
import { zeroTime } from "#resources/rest.ts";
import type { Edit } from "#resources/store.ts";
import { longestMs, quietMs, returns, superseded } from "#zone/returns.ts";
import { schedule } from "../../test/simulation/schedule.ts";

/** `write`: what becomes of each commit. */
function stage(write: () => Promise<void> = () => Promise.resolve()) {
  const { now, at, advance } = schedule(0);
  const commits: string[][] = [];
  const said: string[] = [];
  const { wait, supersede } = returns({
    clock: { now, alarm: at },
    store: {
      async write(edits) {
        commits.push(edits.map((edit) => (edit.kind === "note" ? String(edit.after) : "")));
        await write();
        return commits.length;
      },
    },
    onBegin: () => said.push("begun"),
  });
  const note = (after: string): Edit => ({ kind: "note", key: after, before: undefined, after });
  const brings = {
    kind: "Dataplane",
    mesh: "default",
    name: "any",
    labels: {},
    spec: {},
    creationTime: zeroTime,
    modificationTime: zeroTime,
  };
  const comes = (proxy: string, what: string = proxy): void => {
    supersede(proxy);
    wait(proxy, brings, () => [note(what)]).then(
      () => said.push(`${what} written`),
      (error: Error) => said.push(`${what}: ${error.message}`),
    );
  };
  return { advance, commits, said, comes, supersede };
}

test("what proxies bring that come back together is one commit, as of when no more of them come", async () => {
  const { advance, commits, said, comes } = stage();
  comes("a", "a before");
  await advance(quietMs - 1);
  comes("b");
  comes("a");
  await advance(quietMs - 1);
  assert.deepEqual([commits, said], [[], ["begun", `a before: ${superseded.message}`]]);
  await advance(1);
  assert.deepEqual([commits, said.slice(2)], [[["b", "a"]], ["b written", "a written"]]);
});

test("one that has come anew, to be served at once, does not wait any more", async () => {
  const { advance, commits, said, comes, supersede } = stage();
  comes("a");
  comes("b");
  supersede("a");
  await advance(quietMs);
  assert.deepEqual([commits, said], [[["b"]], ["begun", `a: ${superseded.message}`, "b written"]]);
});

test("who goes on coming keeps nobody waiting for ever", async () => {
  const { advance, commits, comes } = stage();
  for (let ms = 0; ms < longestMs; ms += quietMs / 2) {
    assert.deepEqual(commits, []);
    comes("a");
    await advance(quietMs / 2);
  }
  assert.equal(commits.length, 1);
});

test("a commit that fails refuses all of them, and they come again", async () => {
  let isFull = true;
  const { advance, commits, said, comes } = stage(() =>
    isFull ? Promise.reject(new Error("full")) : Promise.resolve(),
  );
  comes("a");
  comes("b");
  await advance(quietMs);
  isFull = false;
  comes("a");
  await advance(quietMs);
  assert.deepEqual(
    [commits, said],
    [
      [["a", "b"], ["a"]],
      ["begun", "a: full", "b: full", "begun", "a written"],
    ],
  );
});
