// The usual stage of a test between zones: `frontend` in zone-a, `backend` in both, an ingress in zone-b.

import { freePort } from "#host/free-port.ts";
import { type Relay, relayTo } from "#host/relay-for-test.ts";
import type { JsonObject } from "#lib/json.ts";
import { type App, startApp } from "./http.ts";
import {
  eventually,
  type Lab,
  type LabGlobal,
  type LabProxy,
  type LabZone,
  post,
  put,
  startGlobal,
  startProxy,
  startZone,
  withoutRetries,
} from "./lab.ts";
import { allowAll, dataplane, mesh, zoneIngress } from "./manifests.ts";

export interface TwoZones {
  readonly global: LabGlobal;
  readonly zoneA: LabZone;
  readonly zoneB: LabZone;
  /** From zone-b to global. */
  readonly linkOfB: Relay;
  readonly token: string;
  /** For ingresses. */
  readonly zoneToken: string;
  /** Where `frontend` calls `backend`. */
  readonly url: string;
  readonly frontend: LabProxy;
  readonly ingress: LabProxy;
  readonly ingressAt: { readonly host: string; readonly port: number };
  /** An instance of `backend`, with its own application. */
  addBackend(
    zone: LabZone,
    name: string,
    address: string,
    tags?: Readonly<Record<string, string>>,
    serviceProbe?: JsonObject,
  ): Promise<Backend>;
}

export interface Backend extends LabProxy {
  readonly app: App;
  readonly address: string;
  readonly port: number;
}

export async function twoZones(lab: Lab, meshSpec: object = mesh("default")): Promise<TwoZones> {
  const global = await startGlobal(lab);
  await put(global.api, "/meshes/default", meshSpec);
  if ("skipCreatingInitialPolicies" in meshSpec) await withoutRetries(global.api);
  await put(global.api, "/meshes/default/meshtrafficpermissions/allow-all", allowAll("default"));
  const zoneA = await startZone(lab, "zone-a", global);
  const linkOfB = await relayTo(global.kdsPort);
  lab.atEnd(linkOfB.close);
  const zoneB = await startZone(lab, "zone-b", { ...global, kdsPort: linkOfB.port });
  const tokenOf = (kind: string, body: object) =>
    eventually(`a ${kind} token`, 10_000, () => post(global.api, `/tokens/${kind}`, { ...body, validFor: "1h" }));
  const token = await tokenOf("dataplane", { mesh: "default" });
  const ingressAt = { host: "127.0.2.1", port: await freePort("127.0.2.1") };
  const zoneToken = await tokenOf("zone", { scope: ["ingress"] });
  const ingress = await startProxy(lab, zoneB, zoneIngress("ingress-b", ingressAt.host, ingressAt.port), zoneToken);

  const out = await freePort();
  const frontendApp = await startApp("frontend");
  lab.atEnd(() => frontendApp.close());
  const frontend = await startProxy(
    lab,
    zoneA,
    dataplane({
      mesh: "default",
      name: "frontend",
      service: "frontend",
      address: "127.0.1.1",
      port: await freePort("127.0.1.1"),
      appPort: frontendApp.port,
      outbounds: { [out]: "backend" },
    }),
    token,
  );
  return {
    global,
    zoneA,
    zoneB,
    linkOfB,
    token,
    zoneToken,
    url: `http://127.0.0.1:${out}`,
    frontend,
    ingress,
    ingressAt,
    async addBackend(zone, name, address, tags = {}, serviceProbe) {
      const app = await startApp(name);
      lab.atEnd(() => app.close());
      const port = await freePort(address);
      const manifest = dataplane({
        mesh: "default",
        name,
        service: "backend",
        address,
        port,
        appPort: app.port,
        tags,
        ...(serviceProbe && { serviceProbe }),
      });
      const proxy = await startProxy(lab, zone, manifest, token);
      return { ...proxy, app, address, port };
    },
  };
}
