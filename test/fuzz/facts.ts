// What inputs are made from, beside chance: what the control planes have given to well-behaved clients. It can be told to a thread.

import { readFile } from "node:fs/promises";
import { dataplane } from "../lab/manifests.ts";

export interface Facts {
  /** For any proxy of mesh `default`; of an administrator; of a user who has no role. */
  readonly token: string;
  readonly user: string;
  readonly reader: string;
  /** What the Envoy says first that got the bootstrap of `web-1`, as JSON. */
  readonly first: string;
}

export const proxyNamed = (name: string) =>
  dataplane({ mesh: "default", name, service: "web", address: "127.0.8.1", port: 80, appPort: 81 });

/** What a proxy of that name sends for its bootstrap, with the definition as an object. */
export const askedBy = (name: string, dataplaneToken: string) => ({
  ...{ mesh: "default", name, proxyType: "dataplane", dataplaneToken },
  ...{ dataplaneResource: proxyNamed(name), version: { kumaDp: { version: "2.14.0" }, envoy: { version: "1.40.0" } } },
});

export const recorded = async (name: string): Promise<string> =>
  readFile(new URL(`../recorded/${name}`, import.meta.url), "utf8");
