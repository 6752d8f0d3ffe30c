import assert from "node:assert/strict";
import { test } from "node:test";
import { resourceSni } from "#envoy/tls.ts";

test("the SNI of a resource is Kuma's (interop 7.5 b)", () => {
  const sni = (kind: "ms" | "mzms" | "mes", name: string, mesh: string, port: number, tags = {}) =>
    resourceSni(kind, { mesh, name, port }, tags);
  assert.equal(sni("ms", "backend", "default", 33520), "a601e0c00295a9fbe.backend.33520.default.ms");
  assert.equal(sni("mes", "mes", "default", 9000), "a9b6a4173bd8ff3ff.mes.9000.default.mes");
  assert.equal(sni("mzms", "backend", "demo", 8080), "ae10a8071b8a8eeb8.backend.8080.demo.mzms");
  assert.equal(sni("ms", "backend", "demo", 8080, { x: "a" }), "a333a125865a97632.backend.8080.demo.ms");
  assert.match(sni("ms", "b".repeat(63), "demo", 80), /^a[0-9a-f]{16}\.b{62}x\.80\.demo\.ms$/);
});
