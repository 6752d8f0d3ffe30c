import assert from "node:assert/strict";
import { test } from "node:test";
import { addressesOf } from "#host/addresses-of.ts";

test("a host's addresses are those of the machine's own lookup, IPv4 before IPv6, and what is not known is an error", async () => {
  assert.deepEqual(await addressesOf("localhost"), ["127.0.0.1"]);
  assert.deepEqual(await addressesOf("::1"), ["::1"]);
  await assert.rejects(addressesOf("nowhere.invalid"), { code: /ENOTFOUND|EAI_AGAIN/ });
});
