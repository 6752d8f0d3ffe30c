import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { folder, kodiak } from "#cli/cli.fixture.ts";
import { createSigningKey, publicKeyPem, readSigningKey } from "#identity/signing-key.ts";

const dataOf = (manifest: { readonly data: string }): Buffer => Buffer.from(manifest.data, "base64");

test("a new key is a secret with the name that its number gives it", async () => {
  const rows = [
    [[], { type: "Secret", mesh: "default", name: "dataplane-token-signing-key-default-2" }],
    [["--mesh", "m"], { type: "Secret", mesh: "m", name: "dataplane-token-signing-key-m-2" }],
    [["--of", "zone"], { type: "GlobalSecret", name: "zone-token-signing-key-2" }],
    [["--of", "user"], { type: "GlobalSecret", name: "user-token-signing-key-2" }],
  ] as const;
  for (const [args, expected] of rows) {
    const { code, out } = await kodiak(["token", "key", "--kid", "2", ...args]);
    assert.equal(code, 0);
    const { data, ...rest } = parse(out);
    assert.deepEqual(rest, expected);
    const read = readSigningKey(dataOf({ data }));
    assert.equal(read.ok && read.key.type, "private");
  }
});

test("a key that is there already is taken as it is, and what is none is refused", async (t) => {
  const pem = publicKeyPem(await createSigningKey());
  const { file } = folder(t);
  const key = (path: string) => kodiak(["token", "key", "--kid", "3", "--from", path, "-o", "json"]);
  assert.equal(dataOf(JSON.parse((await key(file("public.pem", pem))).out)).toString(), pem);
  const { code, err } = await key(file("other.pem", "no key"));
  assert.equal(code, 2);
  assert.match(err, /^error: --from .*other\.pem: must be an RSA key, PKCS#1 in PEM or DER/);
  assert.match(
    (await kodiak(["token", "key", "--kid", "x"])).err,
    /^error: --kid: must be a number from 1 on, not "x"/,
  );
});
