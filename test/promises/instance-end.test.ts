// Instances, ingresses and whole zones that end without a word: killed with their Envoys.

import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, withoutRetries } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { usualMesh } from "../lab/manifests.ts";
import { mostFailed } from "../lab/soak.ts";
import { answeredBy, killProxy, openStage, type Stage } from "./stage.ts";

const clients = 4;

/** `backend-4`, in zone-a beside those that are there. */
async function addOwn({ url, startBackend }: Stage, there: readonly string[]): Promise<void> {
  await startBackend("zone-a", "backend-4", "127.0.1.4");
  await answeredBy(url, [...there, "backend-4"]);
}

const inFlight = "what was under way there is lost with it, one for each client";

test("what is killed with its Envoy costs what was under way there", async (t) => {
  // What could not connect is tried again elsewhere by the policies that come with a mesh.
  const stage = await openStage(t, usualMesh("default"));
  const end = (what: string, lose: () => Promise<unknown>, left: readonly string[]) =>
    t.test(what, async (t) => {
      const calling = load(stage.url, clients);
      stage.of.atEnd(calling.stop);
      await lose();
      await answeredBy(stage.url, left);
      mostFailed(t, what, await calling.stop(), clients, inFlight);
    });
  await end("an instance of the other zone is killed", () => killProxy(stage, "backend-3"), ["backend-1", "backend-2"]);
  await addOwn(stage, ["backend-1", "backend-2"]);
  await end("an instance of the own zone is killed", () => killProxy(stage, "backend-4"), ["backend-1", "backend-2"]);
  await end("all of the other zone is killed: control plane, ingress, instances", async () => {
    await Promise.all([stage.kill("zone-b"), killProxy(stage, "ingress-b"), killProxy(stage, "backend-2")]);
  }, ["backend-1"]);
});

test("what is killed with its Envoy costs no more where nothing is tried again", async (t) => {
  const stage = await openStage(t);
  await withoutRetries(stage.global.api);
  await eventually("no retries in any route", 10_000, async () =>
    assert.doesNotMatch(JSON.stringify([...(await stage.held())]), /retry_policy/),
  );
  const there = ["backend-1", "backend-2", "backend-3"];
  await addOwn(stage, there);
  const calling = load(stage.url, clients);
  stage.of.atEnd(calling.stop);
  await killProxy(stage, "backend-4");
  await answeredBy(stage.url, there);
  const why = `${inFlight}, and what is sent there before it is marked, one more`;
  mostFailed(t, "an instance of the own zone is killed, without MeshRetry", await calling.stop(), 2 * clients, why);
});
