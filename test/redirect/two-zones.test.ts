// An application with nothing configured calls a service of another zone by name, where the zones have no route to each other but to the
// ingress; and what is for nobody in the mesh passes through, or not.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { test } from "node:test";
import { createServer } from "node:tls";
import { certificateFor } from "#host/certificate-for-test.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { displayNameOf } from "#resources/resource.ts";
import type { Answer } from "../lab/http.ts";
import { eventually, patience, put, remove } from "../lab/lab.ts";
import { mesh } from "../lab/manifests.ts";
import { appPort, openStage, probeMs } from "./stage.ts";

const requests = 50;

test("redirected applications of two zones", async (t) => {
  const { web, backend, ingress, stranger, outside, questions, global, net } = await openStage(t);
  const instanceOf = ({ text }: Answer): string => JSON.parse(text).instance;
  const counted = async (admin: (path: string) => Promise<string>, name: RegExp): Promise<number> =>
    (await admin("/stats?filter=downstream_cx_total|upstream_rq_total|upstream_cx_total"))
      .split("\n")
      .filter((line) => name.test(line))
      .reduce((sum, line) => sum + Number(line.split(": ")[1]), 0);

  await t.test(
    "a service of the other zone answers to its name, through the ingress, and knows who calls",
    async () => {
      await eventually("an answer of backend.mesh", 20_000, async () => {
        assert.equal(instanceOf(await web.app.get("http://backend.mesh")), "backend");
      });
      const connections = () => counted(ingress.admin, /^cluster\..*backend.*upstream_cx_total/);
      const inbound = () => counted(backend.admin, /^cluster\.localhost_8080\.upstream_rq_total/);
      const [before, inboundBefore] = [await connections(), await inbound()];
      for (let count = 0; count < requests; count++) {
        const answer = await web.app.get("http://backend.mesh/path");
        assert.equal(instanceOf(answer), "backend");
        assert.match(answer.text, /spiffe:\/\/default\/web/);
      }
      assert.ok((await connections()) >= before && before > 0, "they go through the ingress");
      assert.equal((await inbound()) - inboundBefore, requests);
    },
  );

  await t.test("there is no other way: neither to the backend's address, nor for who is not in the mesh", async () => {
    const inbound = () =>
      counted(backend.admin, /^http\..*downstream_cx_total|^cluster\.localhost_8080\.upstream_rq_total/);
    const before = await inbound();
    await assert.rejects(web.app.get(`http://${backend.host.address}:${appPort}`));
    await assert.rejects(stranger.app.get(`http://${backend.host.address}:${appPort}`), /ENETUNREACH/);
    await assert.rejects(stranger.app.get("http://backend.mesh"), /ENOTFOUND|EAI_AGAIN|ETIMEOUT/);
    assert.equal(await inbound(), before);
  });

  await t.test(
    "who has no identity comes to the application by no port, whatever the address of its host",
    async () => {
      for (const address of [web.host.address, `[${web.host.address6}]`])
        await assert.rejects(stranger.app.get(`http://${address}:${appPort}`), /ECONNRESET|socket hang up/, address);
    },
  );

  await t.test("its own instance is called as any other: through its inbound", async () => {
    const inbound = () => counted(web.admin, /^cluster\.localhost_8080\.upstream_rq_total/);
    const before = await inbound();
    assert.equal(instanceOf(await web.app.get("http://web.mesh")), "web");
    assert.equal((await inbound()) - before, 1);
  });

  await t.test("other names are asked of the resolver that the machine has, and only these", async () => {
    const { port } = new URL(outside);
    const before = questions.length;
    assert.equal(instanceOf(await web.app.get(`http://outside.example:${port}`)), "outside");
    assert.equal(instanceOf(await web.app.get("http://backend.mesh")), "backend");
    await assert.rejects(web.app.get("http://nobody.example"), /ENOTFOUND/);
    const asked = new Set(questions.slice(before));
    assert.deepEqual([...asked].sort(), ["nobody.example", "outside.example"]);
  });

  await t.test("what is not for the mesh passes through, unless the mesh forbids it", async () => {
    const passed = () => counted(web.admin, /^cluster\.outbound_passthrough_ipv4\.upstream_cx_total/);
    const before = await passed();
    assert.equal(instanceOf(await web.app.get(outside)), "outside");
    assert.equal((await passed()) - before, 1);
    const forbidden = { ...mesh("default"), networking: { outbound: { passthrough: false } } };
    await put(global.api, "/meshes/default", forbidden);
    await eventually("nothing passes", 20_000, () => assert.rejects(web.app.get(outside)));
    assert.equal(instanceOf(await web.app.get("http://backend.mesh")), "backend");
    await put(global.api, "/meshes/default", mesh("default"));
    await eventually("it passes again", 20_000, async () =>
      assert.equal(instanceOf(await web.app.get(outside)), "outside"),
    );
  });

  await t.test("MeshPassthrough says what passes, instead of the mesh", async () => {
    const secret = await certificateFor(["secure.example"]);
    const secure = createServer({ cert: secret.certificate, key: secret.privateKey }, (socket) => socket.end());
    await once(secure.listen(0, net.testAddress), "listening");
    t.after(() => secure.close());
    const tlsPort = (secure.address() as AddressInfo).port;
    const port = Number(new URL(outside).port);
    const passes = (passthroughMode: string, ...appendMatch: readonly object[]) =>
      put(global.api, "/meshes/default/meshpassthroughs/outside", {
        ...{ type: "MeshPassthrough", mesh: "default", name: "outside" },
        spec: { targetRef: { kind: "Mesh" }, default: { passthroughMode, appendMatch } },
      });
    const isOutside = async () => assert.equal(instanceOf(await web.app.get(outside)), "outside");
    const toTls = (name: string) => web.app.tls(net.testAddress, tlsPort, name);
    const soon = (what: string, attempt: () => Promise<unknown>) => eventually(what, 20_000, attempt);

    await passes("None");
    await soon("nothing passes", () => assert.rejects(web.app.get(outside)));
    await assert.rejects(toTls("secure.example"));
    assert.equal(
      instanceOf(await web.app.get("http://backend.mesh")),
      "backend",
      "services of the mesh are as they were",
    );

    await passes("Matched", { type: "IP", value: net.testAddress, port });
    await soon("one port passes", isOutside);
    await assert.rejects(toTls("secure.example"), "another port does not");

    await passes(
      "Matched",
      { type: "Domain", value: "secure.example", protocol: "tls", port: tlsPort },
      { type: "Domain", value: "*.wild.example", protocol: "tls" },
      { type: "Domain", value: "plain.example", protocol: "http", port },
    );
    await soon("a name in TLS passes", () => toTls("secure.example"));
    await toTls("any.wild.example");
    await assert.rejects(toTls("other.example"));
    await soon("a host passes", async () => {
      const answer = await web.app.get(outside, { host: `plain.example:${port}` });
      assert.equal(instanceOf(answer), "outside");
    });
    const { status, text } = await web.app.get(outside, { host: "other.example" });
    assert.deepEqual([status, text], [503, "no MeshPassthrough lets requests to this host through\n"]);

    // Beside what has a port, a network without one is not forgotten.
    const network = { type: "CIDR", value: `${net.testAddress}/24` };
    await passes("Matched", network, { type: "Domain", value: "secure.example", protocol: "tls", port: tlsPort });
    await soon("a network passes", isOutside);
    await toTls("other.example");
    // As SSH does, or a database.
    const first = createTcpServer((socket) => socket.on("error", () => {}).end("welcome"));
    await once(first.listen(0, net.testAddress), "listening");
    t.after(() => first.close());
    assert.equal(await web.app.hear(net.testAddress, (first.address() as AddressInfo).port), "welcome");

    await put(global.api, "/meshes/default", { ...mesh("default"), networking: { outbound: { passthrough: false } } });
    await passes("All");
    await soon("everything passes, whatever the mesh says", isOutside);
    await toTls("other.example");
    await remove(global.api, "/meshes/default/meshpassthroughs/outside");
    await soon("without a policy the mesh's word holds", () => assert.rejects(web.app.get(outside)));
    await put(global.api, "/meshes/default", mesh("default"));
    await soon("and its next word", isOutside);
  });

  await t.test("over IPv6 a name has an address, too, and what is outside passes", async () => {
    const address = await web.app.lookup("backend.mesh", 6);
    assert.match(address, /^::ffff:/);
    assert.equal(instanceOf(await web.app.get(`http://[${address}]`)), "backend");
    await stranger.app.serve("stranger", appPort);
    const passed = () => counted(web.admin, /^cluster\.outbound_passthrough_ipv6\.upstream_cx_total/);
    const before = await passed();
    assert.equal(instanceOf(await web.app.get(`http://[${stranger.host.address6}]:${appPort}`)), "stranger");
    assert.equal((await passed()) - before, 1);
  });

  await t.test("an application that dies beside its Envoy leaves within its probe's time, and comes back", async () => {
    const state = () => {
      const found = global.store.list("Dataplane").find((one) => displayNameOf(one) === "backend");
      return found && (asDataplane(found).spec.networking?.inbound?.[0]?.state ?? "Ready");
    };
    assert.equal(state(), "Ready");
    const died = performance.now();
    await backend.app.die();
    await eventually("it is NotReady", 10_000, async () => assert.equal(state(), "NotReady"));
    const afterMs = Math.round(performance.now() - died);
    t.diagnostic(`NotReady after ${afterMs} ms`);
    assert.ok(afterMs < probeMs * patience, `${afterMs} ms`);
    // Other zones know services by what ingresses lead to: with the last instance its name goes, as with Kuma.
    await eventually("no backend.mesh", 20_000, () =>
      assert.rejects(web.app.get("http://backend.mesh"), /ENOTFOUND|EAI_AGAIN/),
    );
    await backend.app.serve("backend", appPort);
    await eventually("it answers again", 20_000, async () =>
      assert.equal(instanceOf(await web.app.get("http://backend.mesh")), "backend"),
    );
    assert.equal(state(), "Ready");
  });

  await t.test("reachable services are all that is called by name, and all that its Envoy is sent", async () => {
    const clusters = async () => new Set((await web.admin("/clusters")).match(/^[^:\n]+(?=::)/gm));
    const before = await clusters();
    assert.ok(
      [...before].some((name) => name.includes("backend")),
      [...before].join(),
    );
    await web.restart({ reachableServices: ["web"] });
    await eventually("web answers to its name", 20_000, async () =>
      assert.equal(instanceOf(await web.app.get("http://web.mesh")), "web"),
    );
    await assert.rejects(web.app.get("http://backend.mesh"), /ENOTFOUND|EAI_AGAIN|ETIMEOUT/);
    const after = await clusters();
    assert.deepEqual(
      [...after].filter((name) => name.includes("backend")),
      [],
    );
  });
});
