import assert from "node:assert/strict";
import { test } from "node:test";
import { messageIn } from "#discovery/message.ts";
import { DeltaDiscoveryRequestSchema } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { KodiakError } from "#lib/failure.ts";

test("bytes that are no such message are the peer's fault, and are not told", () => {
  for (const text of ["hunter2", "\x12\xffhunter2", "\x12\x03\xff\xfe\xfd", "\x0a".repeat(3)]) {
    assert.throws(
      () => messageIn(DeltaDiscoveryRequestSchema, Buffer.from(text, "latin1")),
      (error) => {
        assert.ok(error instanceof KodiakError);
        assert.equal(error.failure.kind, "invalid");
        assert.match(error.message, /^not a DeltaDiscoveryRequest: (?!.*hunter)/);
        return true;
      },
    );
  }
});
