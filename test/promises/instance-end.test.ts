// Instances, ingresses and whole zones that end without a word: killed with their Envoys.

import { test } from "node:test";
import { load } from "../lab/load.ts";
import { usualMesh } from "../lab/manifests.ts";
import { mostFailed } from "../lab/soak.ts";
import { answeredBy, killProxy, openStage } from "./stage.ts";

const clients = 4;
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
  await stage.startBackend("zone-a", "backend-4", "127.0.1.4");
  await answeredBy(stage.url, ["backend-1", "backend-2", "backend-4"]);
  await end("an instance of the own zone is killed", () => killProxy(stage, "backend-4"), ["backend-1", "backend-2"]);
  await end("all of the other zone is killed: control plane, ingress, instances", async () => {
    await Promise.all([stage.kill("zone-b"), killProxy(stage, "ingress-b"), killProxy(stage, "backend-2")]);
  }, ["backend-1"]);
});
