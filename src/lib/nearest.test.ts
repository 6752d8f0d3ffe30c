import assert from "node:assert/strict";
import { it } from "node:test";
import { didYouMean, nearest } from "#lib/nearest.ts";

it("finds what was probably meant, and nothing where all is too far", () => {
  const names = ["kds-port", "api-port", "name"];
  assert.equal(nearest("kds-prot", names), "kds-port");
  assert.equal(nearest("KDS-Port", names), "kds-port");
  assert.equal(nearest("nam", names), "name");
  assert.equal(nearest("zones", names), undefined);
  assert.equal(nearest("x", ["y"]), "y");
  assert.equal(didYouMean("api-prt", names), '; did you mean "api-port"?');
  assert.equal(didYouMean("zones", names), "");
});
