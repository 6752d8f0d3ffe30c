// Whatever validation accepts, Envoy accepts: the golden cases of the policies, each sent whole to `envoy --mode validate`, and
// policies that nobody would write.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { parse } from "yaml";
import { written } from "#policies/policy-for-test.ts";
import type { Resource } from "#resources/resource.ts";
import { times } from "../lab/soak.ts";
import { acceptedPolicy } from "./accepted.ts";
import { anyPolicy } from "./any-policy.ts";
import { smallMesh } from "./small-mesh.ts";
import { staticBootstrap } from "./static-bootstrap.ts";
import { validatingEnvoy } from "./validating-envoy.ts";

const folder = join(import.meta.dirname, "../../src/policies");
const documents = times(40, 2000);

interface Case {
  readonly policies: readonly (Parameters<typeof written>[1] & { readonly type: string })[];
}

/** What is broken in the configuration of a proxy without policies. */
const breaks: readonly (readonly [what: string, was: string, becomes: string])[] = [
  ["a route to no cluster", '"cluster":"other"', '"cluster":"gone"'],
  ["permissions of the wrong kind", "v3.RBACPerRoute", "v3.RBAC"],
  ["a cluster that waits for no time", '"connectTimeout":"5s"', '"connectTimeout":"0s"'],
  ["an endpoint that is no address", '"address":"10.0.1.0"', '"address":"nowhere"'],
  ["a certificate that is none", '"inlineBytes":"LS0t', '"inlineBytes":"AAAA'],
];

test("Envoy", async (t) => {
  const refusalBy = await validatingEnvoy(t);
  const configurationWith = await smallMesh();
  const bootstrapWith = (policies: readonly Resource[]) => JSON.stringify(staticBootstrap(configurationWith(policies)));

  for (const [what, was, becomes] of breaks)
    await t.test(`refuses ${what}`, async () => {
      const whole = bootstrapWith([]);
      assert.ok(whole.includes(was));
      assert.notEqual(await refusalBy(whole.replaceAll(was, becomes)), undefined);
    });

  for (const file of globSync("*/golden/*.yaml", { cwd: folder }).sort())
    await t.test(`accepts ${file}`, async () => {
      const { policies }: Case = parse(readFileSync(join(folder, file), "utf8"));
      assert.equal(await refusalBy(bootstrapWith(policies.map((one) => written(one.type, one)))), undefined);
    });

  await t.test(`accepts ${documents} documents that validation accepts`, () =>
    fc.assert(
      fc.asyncProperty(anyPolicy, async ({ kind, spec }) => {
        const policy = acceptedPolicy(kind, spec);
        fc.pre(policy !== undefined);
        assert.equal(await refusalBy(bootstrapWith([policy])), undefined);
      }),
      { numRuns: documents },
    ),
  );
});
