import assert from "node:assert/strict";
import { test } from "node:test";
import { subsetClusterName } from "#proxy/names.ts";

test("names of split clusters are those of interop 7.2", () => {
  assert.equal(subsetClusterName("backend", {}), "backend");
  assert.equal(subsetClusterName("backend", { version: "v2" }), "backend-5b73b3f4adf20020");
  assert.equal(subsetClusterName("backend", { version: "v1" }), "backend-154693772bc47249");
});
