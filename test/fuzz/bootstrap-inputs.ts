// Requests for a bootstrap: Kuma's and ours, with members changed, the manifest in them too.

import fc from "fast-check";
import { zoneIngress } from "../lab/manifests.ts";
import { type Input, mutated, mutatedJson, rawTls, withRaw } from "./inputs.ts";
import { laneName } from "./sending.ts";
import { proxyNamed, recorded, type Stage } from "./stage.ts";

export async function bootstrapInputs({ asked }: Stage): Promise<fc.Arbitrary<Input>> {
  const { request: stock } = JSON.parse(await recorded("dp-server/bootstrap-sidecar.json"));
  const own = asked(laneName(0));
  const ingress = zoneIngress("ingress", "127.0.8.2", 80);
  const wire = (manifest: object | string) => ({
    ...own,
    dataplaneResource: typeof manifest === "string" ? manifest : JSON.stringify(manifest),
  });
  const requests = [wire(proxyNamed(laneName(0))), stock, { ...wire(ingress), mesh: "", proxyType: "ingress" }];
  // An alias of YAML for an alias of an alias: a gigabyte, for who follows them all.
  const aliases = Array.from({ length: 10 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`);
  const laughs = ["a0: &a0 x", ...aliases].join("\n");
  const manifests = fc.oneof(
    { weight: 8, arbitrary: mutatedJson([proxyNamed(laneName(0)), ingress]) },
    { weight: 1, arbitrary: mutated([laughs, "type: Dataplane\nname: a\n", `${"- ".repeat(3_000)}1`]).map(String) },
  );
  const bodies: fc.Arbitrary<string | Buffer> = fc.oneof(
    { weight: 3, arbitrary: mutatedJson(requests) },
    { weight: 3, arbitrary: manifests.map((manifest) => JSON.stringify(wire(manifest))) },
    { weight: 1, arbitrary: mutated(requests.map((request) => JSON.stringify(request))) },
    { weight: 1, arbitrary: fc.json() },
  );
  const paths = fc.oneof(
    { weight: 8, arbitrary: fc.constant("/bootstrap") },
    { weight: 1, arbitrary: fc.constantFrom("/leave", "/bootstrap?a=b", "/", "/bootstrap/..", "//") },
  );
  const requested: fc.Arbitrary<Input> = fc.record({ body: bodies, path: paths }).map(({ body, path }) => ({
    kind: "http",
    method: "POST",
    path,
    headers: { "content-type": "application/json" },
    body: Buffer.from(body),
  }));
  return withRaw(requested, rawTls);
}
