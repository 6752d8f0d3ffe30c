// The examples in the policies' documents are valid, and say nothing that isn't known.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { policies } from "#policies/all.ts";
import { unknownMembers, validateResource } from "#policies/kinds.ts";
import { kindNamed } from "#resources/kinds.ts";
import { fromRest } from "#resources/rest.ts";

/** `MeshHTTPRoute` is `mesh-http-route`. */
const folderOf = (kind: string): string => kind.replace(/(?<=[a-z])(?=[A-Z])|(?<=HTTP|TCP)(?=R)/g, "-").toLowerCase();

for (const { kind: name } of policies)
  test(`the examples for ${name}`, () => {
    const folder = folderOf(name);
    const text = readFileSync(join(import.meta.dirname, folder, `${folder}.md`), "utf8");
    const examples = [...text.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, yaml]) => parse(yaml ?? ""));
    assert.ok(examples.length > 0);
    for (const example of examples) {
      const kind = kindNamed(name);
      const { resource, unknown, issues } = fromRest(kind, example);
      assert.deepEqual(
        [issues, unknown, validateResource(kind, resource), unknownMembers(kind, resource.spec)],
        [[], [], [], []],
      );
    }
  });
