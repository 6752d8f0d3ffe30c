// What a zone's control plane answers to stock proxies and to our own is what Envoy accepts.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fetchEnvoy } from "#agent/envoy-fetch.ts";
import { describeExit, run } from "#agent/process.ts";
import { answerBootstrap } from "#xds/bootstrap-answer.ts";

for (const host of ["127.0.0.1", "localhost"])
  for (const name of ["sidecar", "sidecar-transparent-embedded-dns", "zone-ingress", "zone-egress"])
    test(`Envoy accepts the bootstrap of a ${name} at ${host}`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), "kodiak-test-"));
      t.after(() => rm(folder, { recursive: true }));
      const file = new URL(`../recorded/dp-server/bootstrap-${name}.json`, import.meta.url);
      const { request } = JSON.parse(await readFile(file, "utf8"));
      const { status, body } = answerBootstrap(
        {
          method: "POST",
          url: "/bootstrap",
          headers: {},
          authority: `${host}:5678`,
          peer: "127.0.0.1:1",
          body: Buffer.from(JSON.stringify(request)),
        },
        {
          zone: "zone-1",
          port: 5678,
          certificate: request.caCert,
          find: ({ kind, mesh, name }) => ({
            kind,
            mesh,
            name,
            labels: {},
            spec: {},
            creationTime: "",
            modificationTime: "",
          }),
        },
      );
      assert.equal(status, 200);
      const bootstrap = join(folder, "bootstrap.yaml");
      await writeFile(bootstrap, String(body));
      const envoy = await fetchEnvoy(process.env, () => {});
      const { exit, lines } = await run(envoy, ["--mode", "validate", "-l", "warning", "--config-path", bootstrap]);
      assert.equal(describeExit(exit), "with code 0", lines.join("\n"));
    });
