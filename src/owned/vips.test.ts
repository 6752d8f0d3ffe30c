// Seen to catch: a name that takes the address of one that is at home already (the passes of `vipsOf` in one), a freed address given away
// at once, and a zone that keeps an address which global gave to another name.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addressAt, exceptionsOf, homeOf, quarantineMs, rangeSize, vipsOf } from "#owned/vips.ts";
import { type Names, serviceName, serviceOutbound, tableIn, tableText, type VipTable } from "#topology/vips.ts";

const mesh = "default";
const empty: VipTable = new Map();
const named = (...services: readonly string[]): Names =>
  new Map(services.map((service) => [serviceName(service), [serviceOutbound(service)]]));
const addressOf = (table: VipTable, service: string): string | undefined => {
  const entry = table.get(serviceName(service));
  return entry?.freedAt === undefined ? entry?.address : undefined;
};
/** So few addresses that names collide. */
const size = 8;
const services = fc.subarray(["a", "b", "c", "d", "e", "f", "g"]);

test("an address is computed from mesh and name, in Kuma's range but where MeshServices are", () => {
  const table = vipsOf({ mesh, names: named("backend", "db"), before: empty, exceptions: undefined, now: 0 });
  assert.equal(addressOf(table, "backend"), addressAt(homeOf(mesh, "0:backend")));
  assert.notEqual(addressOf(table, "backend"), addressAt(homeOf("other", "0:backend")));
  for (const index of [0, 2 ** 24 - 1, 2 ** 24, rangeSize - 1])
    assert.match(addressAt(index), /^(240|24[4-9]|25[0-4])(\.\d+){3}$/);
  assert.deepEqual(
    [addressAt(0), addressAt(2 ** 24 - 1), addressAt(2 ** 24), addressAt(rangeSize - 1)],
    ["240.0.0.0", "240.255.255.255", "244.0.0.0", "254.255.255.255"],
  );
});

test("whatever comes and goes: no two names have one address, and a name keeps its own", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(services, fc.nat({ max: quarantineMs })), { maxLength: 12 }), (steps) => {
      let table = empty;
      let now = 0;
      for (const [present, passed] of steps) {
        now += passed;
        const before = table;
        table = vipsOf({ mesh, names: named(...present), before, exceptions: undefined, now, size });
        const addresses = [...table.values()].map(({ address }) => address);
        assert.equal(new Set(addresses).size, addresses.length);
        for (const service of present) {
          assert.notEqual(addressOf(table, service), undefined);
          const kept = addressOf(before, service);
          if (kept !== undefined) assert.equal(addressOf(table, service), kept);
        }
        // Of a name that is gone the address is nobody's, for as long as somebody may still have it from DNS.
        for (const [name, { address, freedAt }] of before) {
          const isFresh = freedAt === undefined || now - Date.parse(freedAt) < quarantineMs;
          if (isFresh) assert.equal(table.get(name)?.address, address);
        }
        assert.deepEqual(tableIn(tableText(table)), table);
      }
    }),
  );
});

test("a zone that hears global's exceptions has global's addresses, whatever it had and in whatever order it came to know the names", () => {
  fc.assert(
    fc.property(
      fc.array(services, { minLength: 1, maxLength: 6 }),
      fc.array(services, { maxLength: 6 }),
      (onGlobal, alone) => {
        const follow = (steps: readonly (readonly string[])[]): VipTable =>
          steps.reduce<VipTable>(
            (before, present) =>
              vipsOf({ mesh, names: named(...present), before, exceptions: undefined, now: 0, size }),
            empty,
          );
        const theirs = follow(onGlobal);
        const present = onGlobal.at(-1) ?? [];
        const zone = { mesh, names: named(...present), exceptions: exceptionsOf(mesh, theirs, size), now: 0, size };
        // What the zone still holds of names that are gone is in its way nowhere: it has them from itself alone.
        const before = new Map([...follow(alone)].filter(([, { freedAt }]) => freedAt === undefined));
        const own = vipsOf({ ...zone, before: new Map([...before].filter(([name]) => zone.names.has(name))) });
        for (const service of present) assert.equal(addressOf(own, service), addressOf(theirs, service), service);
      },
    ),
  );
});

test("services that are resources have addresses in the range of their kind, and apart", () => {
  const keys = ["msvc", "extsvc", "mzsvc"].flatMap((short) =>
    Array.from({ length: size / 2 }, (_, i) => `kri_${short}_default__shop_s-${i}_`),
  );
  const names = new Map(keys.map((key) => [key, []]));
  const table = vipsOf({ mesh, names, before: empty, exceptions: undefined, now: 0, size });
  const first: Readonly<Record<string, string>> = { msvc: "241", extsvc: "242", mzsvc: "243" };
  for (const [key, { address }] of table) assert.equal(address.split(".")[0], first[key.split("_")[1] ?? ""], key);
  assert.equal(new Set([...table.values()].map(({ address }) => address)).size, keys.length);
});

test("after 24 h of its name's absence an address is free", () => {
  const [first, second] = twoAtOneHome();
  const given = vipsOf({ mesh, names: named(first), before: empty, exceptions: undefined, now: 0, size });
  const gone = vipsOf({ mesh, names: named(), before: given, exceptions: undefined, now: 1_000, size });
  assert.equal(gone.get(serviceName(first))?.freedAt, "1970-01-01T00:00:01.000Z");
  const at = (now: number) =>
    addressOf(vipsOf({ mesh, names: named(second), before: gone, exceptions: undefined, now, size }), second);
  assert.notEqual(at(quarantineMs + 999), addressOf(given, first));
  assert.equal(at(quarantineMs + 1_000), addressOf(given, first));
  const back = vipsOf({ mesh, names: named(first, second), before: gone, exceptions: undefined, now: 2_000, size });
  assert.equal(addressOf(back, first), addressOf(given, first));
});

function twoAtOneHome(): readonly [string, string] {
  const byHome = new Map<number, string>();
  for (let i = 0; i <= size; i++) {
    const home = homeOf(mesh, serviceName(`s-${i}`), size);
    const other = byHome.get(home);
    if (other !== undefined) return [other, `s-${i}`];
    byHome.set(home, `s-${i}`);
  }
  throw new Error("more names than homes, and no two at one");
}
