// The usual stage of a test inside one zone that stands alone: `frontend`, and as many `backend` as it likes.

import { freePort } from "#host/free-port.ts";
import type { JsonObject } from "#lib/json.ts";
import { startApp } from "./http.ts";
import { type Lab, type LabProxy, type LabZone, put, startProxy, startZone } from "./lab.ts";
import { allowAll, dataplane, mesh } from "./manifests.ts";
import type { Backend } from "./two-zones.ts";

export interface OneZone {
  readonly zone: LabZone;
  /** Where `frontend` calls `backend`. */
  readonly url: string;
  readonly frontend: LabProxy;
  /** An instance of `backend`, with its own application. */
  addBackend(
    name: string,
    address: string,
    tags?: Readonly<Record<string, string>>,
    serviceProbe?: JsonObject,
  ): Promise<Backend>;
}

export async function oneZone(own: Lab, meshSpec: object = mesh("default")): Promise<OneZone> {
  const zone = await startZone(own, "zone-a");
  await put(zone.api, "/meshes/default", meshSpec);
  await put(zone.api, "/meshes/default/meshtrafficpermissions/allow-all", allowAll("default"));
  const token = await zone.tokenFor("default");
  const out = await freePort();
  const start = async (name: string, service: string, address: string, rest: object): Promise<Backend> => {
    const app = await startApp(name);
    own.atEnd(() => app.close());
    const port = await freePort(address);
    const manifest = dataplane({ mesh: "default", name, service, address, port, appPort: app.port, ...rest });
    return { ...(await startProxy(own, zone, manifest, token)), app, address, port };
  };
  return {
    zone,
    url: `http://127.0.0.1:${out}`,
    frontend: await start("frontend", "frontend", "127.0.0.4", { outbounds: { [out]: "backend" } }),
    addBackend: (name, address, tags = {}, serviceProbe) => start(name, "backend", address, { tags, serviceProbe }),
  };
}
