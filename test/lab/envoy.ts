// The Envoy that tests run: the one that is named or installed, else the release that this mesh is tested with.

import { findEnvoy } from "#agent/envoy-binary.ts";
import { fetchEnvoy, progressLine } from "#agent/envoy-fetch.ts";

export const envoy = (): Promise<string> =>
  findEnvoy(process.env).catch(() => fetchEnvoy(process.env, progressLine(process.stderr)));
