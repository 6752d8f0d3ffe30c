import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { framed } from "#discovery/frame.ts";
import type { Item } from "#discovery/item.ts";
import { partsOf } from "#discovery/parts.ts";

const itemOf = (name: string, sizeBytes: number): Item => ({ name, version: "1", bytes: new Uint8Array(sizeBytes) });

test("all of a push is in its parts, in order, and none is larger than is said but for one item alone", () => {
  const names = fc.array(fc.stringMatching(/^[a-z]{1,30}$/), { maxLength: 20 });
  const items = fc.array(fc.nat({ max: 400 }), { maxLength: 20 });
  fc.assert(
    fc.property(items, names, names, (sizes, remove, absent) => {
      const upsert = sizes.map((size, i) => itemOf(`r${i}`, size));
      const parts = partsOf({ upsert, remove, absent }, 300);
      assert.deepEqual(
        [parts.flatMap((one) => one.upsert), parts.flatMap((one) => one.remove), parts.flatMap((one) => one.absent)],
        [upsert, remove, absent],
      );
      for (const part of parts) {
        const bytes = framed({ typeUrl: "", nonce: "", ...part }).reduce((sum, piece) => sum + piece.length, 0);
        assert.ok(bytes <= 300 || part.upsert.length + part.remove.length + part.absent.length === 1, `${bytes} bytes`);
      }
    }),
  );
});

test("nothing to send is one empty part", () => {
  assert.deepEqual(partsOf({ upsert: [], remove: [], absent: [] }, 300), [{ upsert: [], remove: [], absent: [] }]);
});
