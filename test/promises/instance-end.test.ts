// Instances, ingresses and whole zones that end without a word: killed with their Envoys.

import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, withoutRetries } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { usualMesh } from "../lab/manifests.ts";
import { mostFailed, repeated } from "../lab/soak.ts";
import { answeredBy, killProxy, openStage, type Stage } from "./stage.ts";

const clients = 4;

/** `backend-4`, in zone-a beside those that are there. */
async function addOwn({ url, startBackend }: Stage, there: readonly string[]): Promise<void> {
  await startBackend("zone-a", "backend-4", "127.0.1.4");
  await answeredBy(url, [...there, "backend-4"]);
}

const inFlight = "what was under way there is lost with it, one for each client and time";
const times = (count: number): string => (count === 1 ? "" : `, ${count} times`);

test("what is killed with its Envoy costs what was under way there", async (t) => {
  // What could not connect is tried again elsewhere by the policies that come with a mesh.
  const stage = await openStage(t, usualMesh("default"));
  const { url, startBackend } = stage;
  /** `back`: what is lost, before it is lost once more. */
  const end = (what: string, lose: () => Promise<unknown>, left: readonly string[], back: () => Promise<void>) =>
    t.test(what, async (t) => {
      const calling = load(url, clients);
      stage.of.atEnd(calling.stop);
      const count = await repeated(calling, async (time) => {
        if (time > 1) await back();
        await lose();
        await answeredBy(url, left);
      });
      mostFailed(t, `${what}${times(count)}`, await calling.stop(), count * clients, inFlight);
    });
  const two = ["backend-1", "backend-2"];
  await end(
    "an instance of the other zone is killed",
    () => killProxy(stage, "backend-3"),
    two,
    async () => {
      await startBackend("zone-b", "backend-3", "127.0.2.3");
      await answeredBy(url, [...two, "backend-3"]);
    },
  );
  await addOwn(stage, two);
  const own = "an instance of the own zone is killed";
  await end(
    own,
    () => killProxy(stage, "backend-4"),
    two,
    () => addOwn(stage, two),
  );
  let again = async (): Promise<void> => {};
  const loseZone = async () => {
    [again] = await Promise.all([stage.kill("zone-b"), killProxy(stage, "ingress-b"), killProxy(stage, "backend-2")]);
  };
  const zone = "all of the other zone is killed: control plane, ingress, instances";
  await end(zone, loseZone, ["backend-1"], async () => {
    await again();
    await stage.startIngress("ingress-b", "127.0.2.1");
    await startBackend("zone-b", "backend-2", "127.0.2.2");
    await answeredBy(url, two);
  });
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
  const count = await repeated(calling, async (time) => {
    if (time > 1) await addOwn(stage, there);
    await killProxy(stage, "backend-4");
    await answeredBy(stage.url, there);
  });
  const why = `${inFlight}, and what is sent there before it is marked, one more`;
  const what = `an instance of the own zone is killed, without MeshRetry${times(count)}`;
  mostFailed(t, what, await calling.stop(), count * 2 * clients, why);
});
