import assert from "node:assert/strict";
import { test } from "node:test";
import { zeroTime } from "#resources/rest.ts";
import { gatheredForMs, returns, superseded } from "#zone/returns.ts";
import { schedule } from "../../test/simulation/schedule.ts";

/** `write`: what becomes of each commit. */
function stage({ write = () => Promise.resolve(), isRemembered = false } = {}) {
  const { now, at, advance } = schedule(0);
  const commits: string[][] = [];
  const said: string[] = [];
  const own = returns({
    isRemembered,
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
  const times = { creationTime: zeroTime, modificationTime: zeroTime };
  const comes = (name: string, what: string = name): void => {
    own.supersede(name);
    const brings = { kind: "Dataplane", mesh: "default", name, labels: {}, spec: {}, ...times };
    own
      .wait(name, brings, () => [{ kind: "note", key: what, before: undefined, after: what }])
      .then(
        () => said.push(`${what} written`),
        (error: Error) => said.push(`${what}: ${error.message}`),
      );
  };
  return { ...own, advance, commits, said, comes };
}

test("what proxies bring that come back together is one commit, when all must have come", async () => {
  const { advance, commits, said, comes, isOpen, of } = stage();
  assert.equal(isOpen(), true);
  comes("a", "a before");
  await advance(gatheredForMs - 1);
  comes("b");
  comes("a");
  await advance(0);
  assert.deepEqual([commits, said], [[], ["begun", `a before: ${superseded.message}`]]);
  assert.equal(of("a")?.name, "a");
  await advance(1);
  assert.deepEqual([commits, said.slice(2)], [[["b", "a"]], ["b written", "a written"]]);
  assert.deepEqual([isOpen(), of("a")], [false, undefined]);
});

test("nobody waits where the store remembers proxies, or has forgotten one by itself", async () => {
  assert.equal(stage({ isRemembered: true }).isOpen(), false);
  const { isOpen, remembers, comes } = stage();
  comes("a");
  remembers();
  assert.equal(isOpen(), true, "one waits, and others may come");
  const fresh = stage();
  fresh.remembers();
  assert.equal(fresh.isOpen(), false);
});

test("who has come anew, to be served at once, does not wait any more", async () => {
  const { advance, commits, said, comes, supersede } = stage();
  comes("a");
  comes("b");
  supersede("a");
  await advance(gatheredForMs);
  assert.deepEqual([commits, said], [[["b"]], ["begun", `a: ${superseded.message}`, "b written"]]);
});

test("a control plane that stops writes no part of them", async () => {
  const { advance, commits, said, comes, stop, isOpen } = stage();
  comes("a");
  stop();
  comes("b");
  await advance(gatheredForMs);
  assert.deepEqual([commits, said, isOpen()], [[], ["begun"], true]);
});

test("a commit that fails refuses all of them, and they come again", async () => {
  let isFull = true;
  const { advance, commits, said, comes, isOpen } = stage({
    write: () => (isFull ? Promise.reject(new Error("full")) : Promise.resolve()),
  });
  comes("a");
  comes("b");
  await advance(gatheredForMs);
  assert.equal(isOpen(), true);
  isFull = false;
  comes("a");
  await advance(gatheredForMs);
  assert.deepEqual(
    [commits, said],
    [
      [["a", "b"], ["a"]],
      ["begun", "a: full", "b: full", "begun", "a written"],
    ],
  );
});
