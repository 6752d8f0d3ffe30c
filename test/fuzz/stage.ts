// What fuzzing needs: global and a zone, each a process of its own, a mesh, and what a well-behaved client shows and sends.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import type { TestContext } from "node:test";
import type { DeltaDiscoveryRequest } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { bootstrap, firstRequest, stream } from "../cli/wrong-inputs/asked-by-hand.ts";
import { eventually, put } from "../lab/lab.ts";
import { allowAll, dataplane, mesh } from "../lab/manifests.ts";
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
import type { Port } from "./fuzzed.ts";

export interface Stage {
  readonly of: Processes;
  readonly global: ControlPlane;
  readonly zone: Zone;
  /** Where proxies come, where zones come, and the plain API of global. */
  readonly proxies: Target;
  readonly kds: Target;
  readonly api: Target;
  /** For any proxy of mesh `default`, and of an administrator. */
  readonly token: string;
  readonly user: string;
  /** What a proxy of that name sends for its bootstrap, with the definition as an object. */
  readonly asked: (name: string) => Asked;
  /** What the Envoy says first that got the bootstrap of `web-1`. */
  readonly first: DeltaDiscoveryRequest;
  readonly getsItsBootstrap: () => Promise<void>;
  readonly getsItsClusters: () => Promise<void>;
  /** A change on global is in the zone soon. */
  readonly isInTheZone: () => Promise<void>;
}
export type Target = Pick<Port, "at" | "port" | "isTls" | "secrets">;
export type Asked = ReturnType<typeof askedWith>;

export const proxyNamed = (name: string) =>
  dataplane({ mesh: "default", name, service: "web", address: "127.0.8.1", port: 80, appPort: 81 });

const askedWith = (name: string, dataplaneToken: string) => ({
  ...{ mesh: "default", name, proxyType: "dataplane", dataplaneToken },
  ...{ dataplaneResource: proxyNamed(name), version: { kumaDp: { version: "2.14.0" }, envoy: { version: "1.40.0" } } },
});

export const recorded = async (name: string): Promise<string> =>
  readFile(new URL(`../recorded/${name}`, import.meta.url), "utf8");

export async function startStage(t: TestContext): Promise<Stage> {
  const of = await processes(t);
  const global = await startGlobal(of);
  const zone = await startZone(of, "zone-a", await joining(global, "zone-a"));
  await apply(global, mesh("default"), allowAll("default"), mesh("fuzz"));
  const [token, user] = await Promise.all([
    dataplaneToken(global),
    tokenOf(global, "user", { name: "jane", groups: ["mesh-system:admin"] }),
  ]);
  const asked = (name: string) => askedWith(name, token);
  const dp = { dp: { zone: zone.url, global: "" } };
  const getsItsBootstrap = async (): Promise<void> => {
    const { status, text } = await bootstrap(dp, asked("web-1"));
    assert.equal(status, 200, text);
  };
  await eventually("a bootstrap", 10_000, getsItsBootstrap);
  const first = await firstRequest(dp, asked("web-1"));
  let change = 0;
  const secrets = [token, user];
  return {
    proxies: { at: zone, port: Number(zone.ready.dpPort), isTls: true, secrets },
    kds: { at: global, port: Number(global.ready.kdsPort), isTls: true, secrets },
    api: { at: global, port: Number(global.ready.apiPort), isTls: false, secrets },
    ...{ of, global, zone, token, user, asked, getsItsBootstrap },
    first,
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
