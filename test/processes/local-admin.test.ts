// `--local-admin false`: who is on the machine of a control plane needs a token there, too.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { get } from "../lab/http.ts";
import { processes, startGlobal } from "./processes.ts";

test("without local administrators only a token counts, over plain HTTP of the machine itself, too", async (t) => {
  const of = await processes(t);
  const global = await startGlobal(of, ["--local-admin", "false"]);
  const { api, data, ready } = global;
  const who = async (headers = {}) => JSON.parse((await get(`${api}/who-am-i`, headers)).text).name;
  assert.equal(await who(), "mesh-system:anonymous");
  for (const path of ["/meshes", "/global-secrets", "/config"]) assert.equal((await get(api + path)).status, 403, path);
  const diagnostics = `http://127.0.0.1:${ready.diagnosticsPort}`;
  assert.equal((await get(`${diagnostics}/logging`)).status, 403);
  assert.equal((await get(`${diagnostics}/ready`)).status, 200);

  const meshes = ["get", "meshes", "--api", api];
  const { code, err } = await of.kodiak(...meshes);
  assert.equal(code, 1);
  assert.match(err, /^error: .*send a user token/s);
  assert.match(await of.done(...meshes, "--token-file", join(data, "admin-user-token")), /^default /m);
});
