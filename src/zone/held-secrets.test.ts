import assert from "node:assert/strict";
import { test } from "node:test";
import { incrementalGraph } from "#incremental/graph.ts";
import type { CertificateStatus, Holds } from "#owned/proxy-insight.ts";
import { type Bundle, bundleOf } from "#proxy/bundle.ts";
import { identityDraft, trustDraft } from "#proxy/secrets.ts";
import { heldSecrets } from "#zone/held-secrets.ts";

const id = { kind: "Dataplane", mesh: "m", name: "p" };
const before: Holds = { trusts: ["a"], certificate: { backend: "a", expiresAt: 1, issuedAt: 0, regenerations: 1 } };
const newest: CertificateStatus = { backend: "b", expiresAt: 3, issuedAt: 2, regenerations: 2 };

function stage() {
  const graph = incrementalGraph();
  const [identities, trusts] = [graph.source<Bundle>("identities"), graph.source<Bundle>("trusts")];
  const trusted = graph.source<readonly string[]>("trusted");
  const issued = graph.source<CertificateStatus>("issued");
  const identity = bundleOf([identityDraft({ mesh: "m", chain: "", privateKey: "" })]);
  const trust = bundleOf([trustDraft("m", ["YQ==", "Yg=="])]);
  identities.set("m/p", identity);
  trusts.set("m", trust);
  trusted.set("m", ["a", "b"]);
  issued.set("m/p", newest);
  const heldBy = heldSecrets({ identities, trusts, trusted }, issued);
  const versions = new Map([...identity, ...trust].map(({ item }) => [item.name, item.version]));
  return {
    versions,
    held: (has: ReadonlyMap<string, string>, of = id) =>
      heldBy({ versionHeld: (_, name) => has.get(name) ?? "" }, of, before),
  };
}

test("what Envoy holds in the newest version counts, each secret for itself; else what it held before", () => {
  const { versions, held } = stage();
  assert.deepEqual(held(versions), { trusts: ["a", "b"], certificate: newest });
  assert.equal(held(new Map()), before);
  for (const name of versions.keys()) {
    const isTrust = name.startsWith("mesh_ca:");
    const expected = isTrust ? { ...before, certificate: newest } : { ...before, trusts: ["a", "b"] };
    assert.deepEqual(held(new Map([...versions].filter(([other]) => other !== name))), expected);
    assert.deepEqual(held(new Map([...versions, [name, "older"]])), expected);
  }
});

test("an ingress holds nothing of a mesh", () => {
  const { versions, held } = stage();
  assert.equal(held(versions, { ...id, kind: "ZoneIngress" }), before);
});
