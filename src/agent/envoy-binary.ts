// Where Envoy is: the path that was given, ENVOY_PATH, the PATH, or the cache that `fetchEnvoy` fills. What is named but missing is
// an error; it is never silently replaced by another.

import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { run } from "#agent/process.ts";
import { KodiakError } from "#lib/failure.ts";

/** The version that this mesh is tested with. */
export const envoyRelease = "1.40.0";

type Environment = Readonly<Record<string, string | undefined>>;

/** `kodiak/envoy-<version>/envoy` below the user's cache. */
export const cachedEnvoy = (env: Environment): string =>
  join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), ".cache"), "kodiak", `envoy-${envoyRelease}`, "envoy");

/** The path of an executable Envoy. Rejects with `unavailable` and what to do where there is none. */
export async function findEnvoy(env: Environment, given?: string): Promise<string> {
  const named = given ? { path: given, by: "--envoy" } : { path: env.ENVOY_PATH, by: "ENVOY_PATH" };
  if (named.path) {
    if (await isExecutable(named.path)) return named.path;
    throw unavailable(
      `there is no executable Envoy at ${named.path}, which ${named.by} names; correct it, or leave it out and \`kodiak install envoy\` fetches one`,
    );
  }
  const onPath = (env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  for (const path of [...onPath.map((folder) => join(folder, "envoy")), cachedEnvoy(env)])
    if (await isExecutable(path)) return path;
  throw unavailable(
    `Envoy was not found: neither ENVOY_PATH nor the PATH names one, and ${cachedEnvoy(env)} does not exist. \`kodiak install envoy\` fetches it; or install Envoy ${envoyRelease} and set ENVOY_PATH to it`,
  );
}

export interface EnvoyVersion {
  /** `1.40.0` */
  readonly version: string;
  /** `<commit>/1.40.0/Clean/RELEASE/BoringSSL` */
  readonly build: string;
}

/** Asks the binary, which also shows that it runs here. */
export async function envoyVersion(path: string): Promise<EnvoyVersion> {
  const { lines } = await run(path, ["--version"]);
  const build = lines.map((line) => /version: (\S+)/.exec(line)?.[1]).find((text) => text !== undefined);
  const version = build?.split("/")[1];
  if (build === undefined || version === undefined)
    throw unavailable(
      `${path} does not answer --version like an Envoy: ${lines.join(" ").trim() || "no output"}; give the path of an Envoy`,
    );
  return { version, build };
}

const isExecutable = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

const unavailable = (what: string): KodiakError => new KodiakError({ kind: "unavailable", what });
