import assert from "node:assert/strict";
import { test } from "node:test";
import { framed, resourceIn } from "#discovery/frame.ts";
import type { Item } from "#discovery/item.ts";
import { decodeResource, itemOf } from "#kds/codec.ts";
import { type Fitted, fitted } from "#kds/fit.ts";
import type { JsonObject } from "#lib/json.ts";
import { kindNamed } from "#resources/kinds.ts";
import { zeroTime } from "#resources/rest.ts";

const mostBytes = 20_000;
const item = (kind: string, name: string, spec: JsonObject): Item => {
  const times = { creationTime: zeroTime, modificationTime: zeroTime };
  return itemOf(kindNamed(kind), { kind, mesh: "default", name, labels: {}, spec, ...times });
};
const timeout = (name: string, sizeBytes: number) => item("MeshTimeout", name, { filler: "x".repeat(sizeBytes) });
const insight = (name: string, sizeBytes: number) =>
  item("DataplaneInsight", name, {
    metadata: { filler: "x".repeat(sizeBytes) },
    subscriptions: [{ id: "s", controlPlaneInstanceId: "cp" }],
  });
const names = ({ upsert }: Pick<Fitted, "upsert">) => upsert.map(({ name }) => name.replace(".default", ""));
const bytesOf = (upsert: readonly Item[]): number =>
  framed({ typeUrl: "MeshTimeout", nonce: "1", upsert, remove: [] }).reduce((sum, { length }) => sum + length, 0);
const specOf = (kind: string, item: Item) =>
  decodeResource(kindNamed(kind), resourceIn(item)!.resource!.value).resource.spec;

test("what fits goes as it is", () => {
  const upsert = [timeout("a", 9_000), timeout("b", 9_000)];
  for (const way of ["in one message", "in parts"] as const)
    assert.equal(fitted(kindNamed("MeshTimeout"), upsert, way, mostBytes).upsert, upsert);
});

test("one message: the largest are left out, until the others fit", () => {
  const upsert = [timeout("a", 8_000), timeout("small", 10), timeout("b", 11_000), timeout("c", 9_500)];
  const all = fitted(kindNamed("MeshTimeout"), upsert, "in one message", mostBytes);
  assert.deepEqual(names(all), ["a", "small", "c"]);
  assert.ok(bytesOf(all.upsert) <= mostBytes);
  assert.deepEqual([...all.leftOut.keys()], ["b.default"]);
  assert.match(
    all.leftOut.get("b.default") ?? "",
    /^not sent: it has 11,\d\d\d bytes, and to a Kuma control plane all of kind MeshTimeout go in one message of at most 20,000$/,
  );
});

test("parts: only what is too large for itself is left out", () => {
  const upsert = [timeout("a", 15_000), timeout("b", 21_000), timeout("c", 15_000)];
  const parts = fitted(kindNamed("MeshTimeout"), upsert, "in parts", mostBytes);
  assert.deepEqual([names(parts), [...parts.leftOut.keys()]], [["a", "c"], ["b.default"]]);
  assert.match(
    parts.leftOut.get("b.default") ?? "",
    /^not sent: it has 21,\d\d\d bytes, and a message has at most 20,000$/,
  );
});

test("insights first lose what proxies say of themselves, the largest first and no more than must", () => {
  const upsert = [insight("a", 5_000), insight("b", 12_000), insight("c", 11_000)];
  const all = fitted(kindNamed("DataplaneInsight"), upsert, "in one message", mostBytes);
  assert.deepEqual([names(all), all.leftOut.size], [["a", "b", "c"], 0]);
  const specs = all.upsert.map((one) => specOf("DataplaneInsight", one));
  assert.deepEqual(
    specs.map(({ metadata, subscriptions }) => [metadata !== undefined, Array.isArray(subscriptions)]),
    [
      [true, true],
      [false, true],
      [true, true],
    ],
  );
});
