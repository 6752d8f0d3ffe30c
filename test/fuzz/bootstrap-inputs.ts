// Requests for a bootstrap: Kuma's and ours, with members changed, the manifest in them too.

import fc from "fast-check";
import { zoneIngress } from "../lab/manifests.ts";
import { askedBy, type Facts, proxyNamed, recorded } from "./facts.ts";
import { type Input, mutated, mutatedJson, rawTls, withRaw } from "./inputs.ts";
import { laneName } from "./lanes.ts";
import { type Make, oneOf, picked, supplied } from "./made.ts";

export async function bootstrapInputs({ token }: Facts): Promise<Make<Input>> {
  const own = askedBy(laneName(0), token);
  const { request: stock } = JSON.parse(await recorded("dp-server/bootstrap-sidecar.json"));
  const ingress = zoneIngress("ingress", "127.0.8.2", 80);
  const wire = (manifest: object | string) => ({
    ...own,
    dataplaneResource: typeof manifest === "string" ? manifest : JSON.stringify(manifest),
  });
  const requests = [wire(proxyNamed(laneName(0))), stock, { ...wire(ingress), mesh: "", proxyType: "ingress" }];
  // An alias of YAML for an alias of an alias: a gigabyte, for who follows them all.
  const aliases = Array.from({ length: 10 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`);
  const laughs = ["a0: &a0 x", ...aliases].join("\n");
  const inYaml = mutated([laughs, "type: Dataplane\nname: a\n", `${"- ".repeat(3_000)}1`]);
  const manifest = oneOf<string>(
    [8, mutatedJson([proxyNamed(laneName(0)), ingress])],
    [1, (of) => inYaml(of).toString()],
  );
  const body = oneOf<string | Buffer>(
    [3, mutatedJson(requests)],
    [3, (of) => JSON.stringify(wire(manifest(of)))],
    [1, mutated(requests.map((request) => JSON.stringify(request)))],
    [1, supplied(fc.json())],
  );
  const path = oneOf<string>(
    [8, picked("/bootstrap")],
    [1, picked("/leave", "/bootstrap?a=b", "/", "/bootstrap/..", "//")],
  );
  const requested: Make<Input> = (of) => ({
    ...{ kind: "http", method: "POST", path: path(of) },
    headers: { "content-type": "application/json" },
    body: Buffer.from(body(of)),
  });
  return withRaw(requested, rawTls);
}
