import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeFactsOf } from "#topology/node.ts";

const redirectedTo = (port: unknown) => ({
  features: ["feature-transparent-proxy-in-dataplane-metadata"],
  transparentProxy: { redirect: { inbound: { enabled: true, port }, outbound: { enabled: true, port: 15001 } } },
});

test("ports are ports, whatever a node says", () => {
  for (const wrong of ["", "x", "0", 0, -1, 1.5, 65536, null, {}, [15053], { toString: 1 }]) {
    assert.equal(nodeFactsOf({ "dataplane.dns.port": wrong as never }).dns, undefined, JSON.stringify(wrong));
    assert.equal(nodeFactsOf(redirectedTo(wrong) as never).redirect?.inbound, 0, JSON.stringify(wrong));
  }
  const odd = { ...redirectedTo(15006).transparentProxy, ipFamilyMode: { toString: 1 } };
  assert.equal(nodeFactsOf({ ...redirectedTo(1), transparentProxy: odd } as never).redirect?.ipv6, true);
  assert.deepEqual(nodeFactsOf({ "dataplane.dns.port": "15053" }).dns, { kind: "envoy", port: 15053 });
  assert.deepEqual(nodeFactsOf(redirectedTo(15006) as never).redirect, { inbound: 15006, outbound: 15001, ipv6: true });
});
