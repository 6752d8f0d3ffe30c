import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { machineResolvers } from "#agent/resolvers.ts";
import { openLog } from "#host/log.ts";

test("the machine's resolvers are those of the file as it is: written, replaced, or led elsewhere by its link", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-resolvers-"));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "resolv.conf");
  const resolvers = machineResolvers(openLog("silent"), path);
  t.after(() => resolvers.close());
  const addresses = () => resolvers.current().map(({ address, port }) => `${address} ${port}`);
  /** The kernel's word comes with a turn of the event loop. */
  const until = async (...wanted: string[]) => {
    const end = Date.now() + 10_000;
    while (addresses().join() !== wanted.join()) {
      assert.ok(Date.now() < end, `${addresses()} for ${wanted}`);
      await turn();
    }
  };
  assert.deepEqual(addresses(), ["127.0.0.1 53"], "without a file this machine is asked");

  await writeFile(path, "search example\nnameserver 10.0.0.2\nnameserver fd00::2\n");
  await until("10.0.0.2 53", "fd00::2 53");
  const replace = async (text: string) => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  };
  await replace("nameserver 10.0.0.3\n");
  await until("10.0.0.3 53");
  await replace("nameserver 10.0.0.4\n");
  await until("10.0.0.4 53");

  const elsewhere = join(folder, "run", "stub.conf");
  await mkdir(join(folder, "run"));
  await writeFile(elsewhere, "nameserver 10.0.0.5\n");
  await symlink(elsewhere, `${path}.new`);
  await rename(`${path}.new`, path);
  await until("10.0.0.5 53");
  await writeFile(elsewhere, "nameserver 10.0.0.6\n");
  await until("10.0.0.6 53");

  await rm(path);
  await writeFile(`${path}.other`, "nameserver 10.0.0.9\n");
  assert.deepEqual(addresses(), ["10.0.0.6 53"], "while it is gone the last ones stay");
  await writeFile(path, "nameserver 10.0.0.7\n");
  await until("10.0.0.7 53");
});
