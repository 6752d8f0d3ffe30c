// The list of wrong inputs, in tables beside this file: with all that is said of each, and its code. Messages say what, where
// (file, document, line, path) and what to do; nothing is left of any of them.

import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import type { AuditEntry } from "#host/audit-log.ts";
import { grpcCode } from "#host/world.ts";
import { isObject } from "#lib/json.ts";
import { type Line, recordingLog } from "../agent/recording-log.ts";
import { bootstrap, firstRequest, stream } from "./wrong-inputs/asked-by-hand.ts";
import { asIngress, asWeb, bootstraps } from "./wrong-inputs/bootstraps.ts";
import { commands } from "./wrong-inputs/commands.ts";
import { controlPlanes } from "./wrong-inputs/control-planes.ts";
import { appliedOnGlobal, appliedOnZone } from "./wrong-inputs/manifests.ts";
import { nodes } from "./wrong-inputs/nodes.ts";
import { proxies } from "./wrong-inputs/proxies.ts";
import { type Given, kodiak, kodiakHere, openStage, type Row, type Stage, start } from "./wrong-inputs/stage.ts";
import { tokens } from "./wrong-inputs/tokens.ts";
import { waiting } from "./wrong-inputs/waiting.ts";

const tables: Readonly<Record<string, (stage: Stage) => readonly Row[]>> = {
  "applied on global": appliedOnGlobal,
  "applied on a zone": appliedOnZone,
  commands,
  "control planes": controlPlanes,
  proxies,
};

async function totalOf(api: string, list: string): Promise<unknown> {
  const answer: unknown = await (await fetch(`${api}/${list}`)).json();
  return isObject(answer) ? answer.total : undefined;
}

test("given to the program", { concurrency: availableParallelism() + 1 }, async (t) => {
  const stage = await openStage(t);
  // What starts a component, and of the rest the first of each table, as it is: in a process.
  const rows = Object.entries(tables).flatMap(([table, of]) =>
    of(stage).map((row, i) => ({ table, row, isProcess: i === 0 || row.args.startsWith("run ") })),
  );
  await Promise.all(
    rows.map(({ table, row: { what, code, err, ...given }, isProcess }) =>
      t.test(`${table}: ${given.args}${what === undefined ? "" : `, ${JSON.stringify(what)}`}`, async (t) =>
        assert.deepEqual(await (isProcess ? kodiak(t, stage, given) : kodiakHere(stage, given)), {
          code,
          err: `${err}\n`,
        }),
      ),
    ),
  );
  await t.test("nothing of all that was applied", async (t) => {
    for (const { api } of [stage.global, stage.zone]) {
      for (const list of ["meshtrafficpermissions", "dataplanes", "zoneingresses"])
        assert.equal(await totalOf(api, list), 0, list);
      assert.equal(await totalOf(api, "meshtimeouts"), 4, "those that come with the meshes");
    }
    assert.equal(await totalOf(stage.global.api, "meshes"), 2);
    assert.deepEqual(
      await kodiak(t, stage, { args: "get meshtrafficpermissions", env: { KODIAK_API: stage.global.api } }),
      {
        code: 0,
        err: 'there are no meshtrafficpermissions in mesh "default"\n',
      },
    );
  });
});

test("that may come right: waited for, and said once", { concurrency: availableParallelism() }, async (t) => {
  const stage = await openStage(t);
  await Promise.all(
    waiting(stage).map(({ what, given, attempts, msg, why }) =>
      t.test(what, async (t) => {
        const { lines, ended, stop } = start(t, stage, given);
        const warnings: unknown[] = [];
        let failed = 0;
        for await (const line of lines) {
          if (line.level === 40) warnings.push({ msg: line.msg, why: line.why });
          if (line.msg === msg && ++failed === attempts) stop();
        }
        assert.deepEqual(warnings, [{ msg, why }]);
        assert.deepEqual(await ended, { code: 0, err: "" });
      }),
    ),
  );
});

test("a second control plane on the same data", async (t) => {
  const stage = await openStage(t);
  const args = `run zone --name z --address 127.0.0.1 --dp-port 0 --api-port 0 --api-https-port 0 --diagnostics-port 0 --data ${stage.folder}`;
  const given: Given = { args };
  const first = start(t, stage, given);
  for await (const { msg } of first.lines) {
    if (msg !== "zone control plane is ready") continue;
    const store = `${stage.folder}/kodiak.db`;
    assert.deepEqual(await kodiak(t, stage, given), {
      code: 1,
      err: `error: the store ${store} is in use by another control plane; stop that one or give another folder\n`,
    });
    first.stop();
  }
  assert.deepEqual(await first.ended, { code: 0, err: "" });
});

test("asked for as a bootstrap", async (t) => {
  const stage = await openStage(t);
  for (const [what, body, status, text] of bootstraps)
    await t.test(what, async () => assert.deepEqual(await bootstrap(stage, body), { status, text }));
});

test("sent as the first request of a stream", async (t) => {
  const log = recordingLog();
  const stage = await openStage(t, log);
  const { forWeb, forIngress, right } = await tokens(stage);
  const web = await firstRequest(stage, asWeb);
  const ingress = await firstRequest(stage, asIngress);
  const port = stage.zone.dpPort;
  const refused = (message: string) => ({ code: grpcCode.unknown, message });
  const records = (at: string) =>
    log.lines.filter(({ message, fields }) => message === "refused a proxy" && fields.at === at);
  const reasons = (at: string) => records(at).map(({ fields }) => fields.reason);
  const adviceForWeb =
    'give Dataplane "web" in mesh "default" a token that `kodiak token dataplane` makes for it, on the global control plane';
  const adviceForIngress =
    'give ZoneIngress "in" a token that `kodiak token zone --scope ingress` makes for it, on the global control plane';

  for (const [what, token, why] of forWeb)
    await t.test(`a token of a dataplane: ${what}`, async () => {
      const all = `authentication failed: ${why}; ${adviceForWeb}`;
      assert.deepEqual(await stream(stage, port, web, token), refused(all));
      assert.equal(reasons("stream").at(-1), all);
    });
  for (const [what, token, why] of forIngress)
    await t.test(`a token of an ingress: ${what}`, async () => {
      const all = `authentication failed: ${why}; ${adviceForIngress}`;
      assert.deepEqual(await stream(stage, port, ingress, token), refused(all));
      assert.equal(reasons("stream").at(-1), all);
    });
  const withBootstrap = [
    ...forWeb.map(
      ([what, token, why]) => [asWeb, `of a dataplane: ${what}`, token, `${why}; ${adviceForWeb}`] as const,
    ),
    ...forIngress.map(
      ([what, token, why]) => [asIngress, `of an ingress: ${what}`, token, `${why}; ${adviceForIngress}`] as const,
    ),
  ];
  for (const [who, what, token, why] of withBootstrap.filter(([, , token]) => token !== ""))
    await t.test(`sent with a bootstrap, a token ${what}`, async () => {
      const text = `authentication failed: ${why}`;
      const { dataplaneTokenPath: _, ...rest } = who;
      // A key may be on the way from global.
      const status = what.endsWith("an unknown key") ? 503 : 403;
      assert.deepEqual(await bootstrap(stage, { ...rest, dataplaneToken: token }), { status, text });
      assert.equal(reasons("bootstrap").at(-1), text);
    });
  for (const [what, request, message] of nodes(web))
    await t.test(what, async () => assert.deepEqual(await stream(stage, port, request, right.web), refused(message)));
  await t.test("to the global control plane", async () =>
    assert.deepEqual(await stream(stage, stage.global.dpPort, web, right.web), {
      code: grpcCode.permissionDenied,
      message:
        "this is the global control plane, which serves no proxies: give the address of the zone control plane of the proxy's zone, port 5678, as the control plane's address",
    }),
  );

  await t.test("nothing came of all that, and the same with the right token is answered", async () => {
    for (const list of ["dataplanes", "zoneingresses"]) assert.equal(await totalOf(stage.zone.api, list), 0);
    const clusters = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    assert.equal(await stream(stage, port, web, right.web), clusters);
    assert.equal(await stream(stage, port, ingress, right.ingress), clusters);
    for (const [who, token] of [
      [asWeb, right.web],
      [asIngress, right.ingress],
    ] as const)
      assert.equal((await bootstrap(stage, { ...who, dataplaneToken: token })).status, 200);
  });

  await t.test("each has left a record, and no other, with who it said to be and from where", () => {
    assert.equal(records("stream").length, forWeb.length + forIngress.length + nodes(web).length);
    assert.equal(records("bootstrap").length, withBootstrap.filter(([, , token]) => token !== "").length);
    for (const { fields } of [...records("stream"), ...records("bootstrap")]) {
      assert.match(String(fields.peer), /^127\.0\.0\.1:\d+$/);
      assert.ok(fields.cause);
    }
    // The audit log has a line for each that is not the same once more.
    for (const at of ["stream", "bootstrap"]) {
      const lines = stage.zone.refused.filter(({ verb }) => verb === at);
      const asLogged = ({ fields }: Line) => JSON.stringify([fields.proxy ?? "", fields.reason]).slice(0, 400);
      const asAudited = ({ who, why }: AuditEntry) => JSON.stringify(["proxy" in who && who.proxy, why]).slice(0, 400);
      assert.deepEqual(lines.map(asAudited), [...new Set(records(at).map(asLogged))]);
    }
  });
});
