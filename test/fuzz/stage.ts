// What fuzzing needs: global and a zone, each a process of its own, a mesh, and what a well-behaved client shows and sends.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { toJsonString } from "@bufbuild/protobuf";
import { DeltaDiscoveryRequestSchema } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { bootstrap, firstRequest, stream } from "../cli/wrong-inputs/asked-by-hand.ts";
import { eventually, put } from "../lab/lab.ts";
import { allowAll, mesh } from "../lab/manifests.ts";
import {
  apply,
  type ControlPlane,
  dataplaneToken,
  joining,
  type Processes,
  processes,
  startGlobal,
  startZone,
  tokenOf,
  type Zone,
} from "../processes/processes.ts";
import { askedBy, type Facts } from "./facts.ts";
import type { Port } from "./fuzzed.ts";

export interface Stage {
  readonly of: Processes;
  readonly global: ControlPlane;
  readonly zone: Zone;
  /** Where proxies come to the zone, and of global where zones come, the API, and the port for diagnostics. */
  readonly proxies: Target;
  readonly kds: Target;
  readonly api: Target;
  readonly apiOverTls: Target;
  readonly diagnostics: Target;
  readonly facts: Facts;
  readonly getsItsBootstrap: () => Promise<void>;
  readonly getsItsClusters: () => Promise<void>;
  /** A change on global is in the zone soon. */
  readonly isInTheZone: () => Promise<void>;
}
export type Target = Pick<Port, "at" | "port" | "protocol">;

export async function startStage(t: TestContext): Promise<Stage> {
  const of = await processes(t);
  const global = await startGlobal(of);
  const zone = await startZone(of, "zone-a", await joining(global, "zone-a"));
  await apply(global, mesh("default"), allowAll("default"), mesh("fuzz"));
  const [token, user, reader] = await Promise.all([
    dataplaneToken(global),
    tokenOf(global, "user", { name: "jane", groups: ["mesh-system:admin"] }),
    tokenOf(global, "user", { name: "joe", groups: [] }),
  ]);
  const asked = askedBy("web-1", token);
  const dp = { dp: { zone: zone.url, global: "" } };
  const getsItsBootstrap = async (): Promise<void> => {
    const { status, text } = await bootstrap(dp, asked);
    assert.equal(status, 200, text);
  };
  await eventually("a bootstrap", 10_000, getsItsBootstrap);
  const first = await firstRequest(dp, asked);
  let change = 0;
  const { ready } = global;
  return {
    proxies: { at: zone, port: Number(zone.ready.dpPort), protocol: "h2" },
    kds: { at: global, port: Number(ready.kdsPort), protocol: "h2" },
    api: { at: global, port: Number(ready.apiPort), protocol: "http" },
    apiOverTls: { at: global, port: Number(ready.apiHttpsPort), protocol: "https" },
    diagnostics: { at: global, port: Number(ready.diagnosticsPort), protocol: "http" },
    ...{ of, global, zone, getsItsBootstrap },
    facts: { token, user, reader, first: toJsonString(DeltaDiscoveryRequestSchema, first) },
    async getsItsClusters() {
      assert.equal(await stream(of, Number(zone.ready.dpPort), first, token), first.typeUrl);
    },
    async isInTheZone() {
      const connectionTimeout = `${++change}ms`;
      const spec = { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout } }] };
      const body = { type: "MeshTimeout", mesh: "default", name: "well-behaved", spec };
      await put(global.api, "/meshes/default/meshtimeouts/well-behaved", body);
      await eventually("a change in the zone", 10_000, async () => {
        const list = await (await fetch(`${zone.api}/meshes/default/meshtimeouts`)).text();
        assert.ok(list.includes(`"${connectionTimeout}"`));
      });
    },
  };
}
