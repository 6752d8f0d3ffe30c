import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeMessage, encodeMessage, statusHeaders, statusIn, statusOfError } from "#host/grpc-status.ts";
import { openLog } from "#host/log.ts";
import { GrpcError, grpcCode } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";

test("only percent signs and what is not printable ASCII are encoded", () => {
  assert.equal(encodeMessage('spec.to[0]: "a b", 100%, ~'), 'spec.to[0]: "a b", 100%25, ~');
  assert.equal(encodeMessage("line\nzürich 🐻"), "line%0Az%C3%BCrich %F0%9F%90%BB");
});

test("a message survives encoding; what is not valid encoding is kept", () => {
  const text = fc.string({ unit: "grapheme" });
  fc.assert(fc.property(text, (message) => assert.equal(decodeMessage(encodeMessage(message)), message)));
  assert.equal(decodeMessage("100% of %4"), "100% of %4");
});

test("a status is read back from its headers; a long message is cut, so that headers stay below limits", () => {
  const status = { code: grpcCode.notFound, message: "no zone-ä" };
  assert.deepEqual(statusIn(statusHeaders(status)), status);
  assert.deepEqual(statusHeaders({ code: 0, message: "" }), { "grpc-status": "0" });
  assert.equal(statusHeaders({ code: 2, message: "x".repeat(100_000) })["grpc-message"]?.length, 4096);
  assert.equal(statusIn({}), undefined);
});

test("what a handler throws is a status; what nobody foresaw keeps its details to the log", () => {
  const log = openLog("silent");
  const forbidden = new KodiakError({ kind: "forbidden", why: "zone-b may not" });
  assert.deepEqual(statusOfError(forbidden, "/a", log), { code: grpcCode.permissionDenied, message: "zone-b may not" });
  const status = { code: grpcCode.cancelled, message: "enough" };
  assert.equal(statusOfError(new GrpcError(status), "/a", log), status);
  const unforeseen = statusOfError(new Error("password 1234"), "/a", log);
  assert.equal(unforeseen.code, grpcCode.internal);
  assert.doesNotMatch(unforeseen.message, /1234/);
});
