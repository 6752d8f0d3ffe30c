// P10: while a certificate authority is rotated, every pair that could talk can talk. Two zones, all pairs under load, each request over
// a connection of its own, so that each is a handshake; and all the time what the Envoys hold is looked at.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { relayTo } from "#host/relay-for-test.ts";
import { certificatesIn } from "#identity/pem.ts";
import { get, startApp } from "../lab/http.ts";
import { eventually, type Lab, type LabProxy, type LabZone, lab, put, startProxy } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { dataplane, mesh, zoneIngress } from "../lab/manifests.ts";
import { oneZone } from "../lab/one-zone.ts";
import { noneFailed, times } from "../lab/soak.ts";
import { type TwoZones, twoZones } from "../lab/two-zones.ts";

const requests = times(300, 5_000);
const ca = (name: string) => ({ name, type: "builtin" });
const meshWith = (enabledBackend: string, ...names: string[]) => ({
  ...mesh("default"),
  mtls: { enabledBackend, backends: names.map(ca) },
});
const hoursMs = 3_600_000;

interface Member extends LabProxy {
  readonly service: string;
  readonly urls: Readonly<Record<string, string>>;
}

/** `services`, two in each zone, each of which calls all others. TCP: the proxies keep no connections. */
async function members(own: Lab, stage: TwoZones): Promise<readonly Member[]> {
  const places: readonly (readonly [string, LabZone])[] = [
    ["north", stage.zoneA],
    ["east", stage.zoneA],
    ["south", stage.zoneB],
    ["west", stage.zoneB],
  ];
  const at = { host: "127.0.2.9", port: await freePort("127.0.2.9") };
  await startProxy(own, stage.zoneA, zoneIngress("ingress-a", at.host, at.port), stage.zoneToken);
  return Promise.all(
    places.map(async ([service, zone], index) => {
      const app = await startApp(service);
      own.atEnd(() => app.close());
      const address = `127.0.3.${index + 1}`;
      const others = places.map(([name]) => name).filter((name) => name !== service);
      const outs = await Promise.all(others.map(async (name) => [name, await freePort()] as const));
      const manifest = dataplane({
        ...{ mesh: "default", name: service, service, address, protocol: "tcp", appPort: app.port },
        port: await freePort(address),
        outbounds: Object.fromEntries(outs.map(([name, port]) => [port, name])),
      });
      const proxy = await startProxy(own, zone, manifest, stage.token);
      return {
        ...proxy,
        service,
        urls: Object.fromEntries(outs.map(([name, port]) => [name, `http://127.0.0.1:${port}`])),
      };
    }),
  );
}

interface Held {
  readonly leaf: X509Certificate;
  readonly between: readonly X509Certificate[];
  readonly roots: readonly X509Certificate[];
}

/** What its Envoy works with. */
async function heldBy(proxy: LabProxy): Promise<Held> {
  const dump = JSON.parse(await proxy.admin("/config_dump?resource=dynamic_active_secrets"));
  const texts = (member: "tls_certificate" | "validation_context"): readonly X509Certificate[] =>
    dump.configs.flatMap(
      ({ secret }: { secret: Record<string, Record<string, { inline_bytes: string }> | undefined> }) => {
        const inline = secret[member]?.certificate_chain ?? secret[member]?.trusted_ca;
        const text = Buffer.from(inline?.inline_bytes ?? "", "base64").toString();
        return certificatesIn(text).map((pem) => new X509Certificate(pem));
      },
    );
  const [leaf, ...between] = texts("tls_certificate");
  assert.ok(leaf, "a certificate");
  return { leaf, between, roots: texts("validation_context") };
}

/** Whether a chain that is shown is believed by who trusts the roots. */
const isBelieved = ({ leaf, between }: Held, { roots }: Held): boolean => {
  const [issuer] = between;
  const isUnder = (below: X509Certificate, above: X509Certificate): boolean =>
    below.checkIssued(above) && below.verify(above.publicKey);
  return issuer !== undefined && isUnder(leaf, issuer) && roots.some((root) => isUnder(issuer, root));
};

/** Looks at all of them again and again: leaves first, as whoever shows one must have been trusted before. */
function watch(proxies: readonly Member[]) {
  const wrong: string[] = [];
  let isOver = false;
  let rounds = 0;
  const look = async (): Promise<void> => {
    const shown = await Promise.all(proxies.map(heldBy));
    const trusting = await Promise.all(proxies.map(heldBy));
    for (const [i, one] of shown.entries()) {
      const leftMs = one.leaf.validToDate.getTime() - Date.now();
      if (leftMs < 72 * hoursMs) wrong.push(`${proxies[i]?.service}: its leaf is valid for ${leftMs / hoursMs} h`);
      for (const [j, other] of trusting.entries())
        if (!isBelieved(one, other)) wrong.push(`${proxies[i]?.service} is not believed by ${proxies[j]?.service}`);
    }
    rounds++;
  };
  const done = (async () => {
    while (!isOver) await look();
  })();
  return {
    rounds: () => rounds,
    async end() {
      isOver = true;
      await done;
      assert.deepEqual(wrong, []);
    },
  };
}

test("a root is rotated under load between all pairs of two zones; a zone that is away holds the gate", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own, meshWith("ca-1", "ca-1"));
  const { global, linkOfB } = stage;
  const proxies = await members(own, stage);
  const pairs = proxies.flatMap(({ service, urls }) =>
    Object.entries(urls).map(([to, url]) => ({ from: service, to, url })),
  );
  for (const { from, to, url } of pairs)
    await eventually(`${from} calls ${to}`, 30_000, async () =>
      assert.equal(JSON.parse((await get(url, { connection: "close" })).text).instance, to),
    );

  const shown = () => shownBy(global.api);
  const reaches = (step: string) =>
    eventually(`step ${step}`, 60_000, async () => assert.equal((await shown()).step, step));
  /** `taken`, or why not. */
  const applied = async (body: object): Promise<string> => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${global.api}/meshes/default`, {
      method: "PUT",
      headers,
      body: JSON.stringify(body),
    });
    if (response.ok) return "taken";
    const { invalid_parameters: wrong } = JSON.parse(await response.text());
    return wrong[0].reason;
  };
  const loads = pairs.map(({ url }) => load(url, 1, true));
  for (const one of loads) own.atEnd(one.stop);
  const watched = watch(proxies);
  /** So many more requests of each pair, and another look at all that they hold. */
  const goesOn = async (): Promise<void> => {
    const [before, rounds] = [loads.map((one) => one.sent()), watched.rounds()];
    await eventually("requests of every pair", 120_000, async () => {
      for (const [i, one] of loads.entries()) assert.ok(one.sent() >= (before[i] ?? 0) + requests / 5);
      assert.ok(watched.rounds() >= rounds + 2);
    });
  };
  const issuers = async (): Promise<readonly string[]> => {
    const held = await Promise.all(proxies.map(heldBy));
    return held.map(
      ({ between: [issuer], roots }) => roots.find((root) => issuer?.verify(root.publicKey))?.fingerprint256 ?? "",
    );
  };
  const only = (fingerprint: string | undefined) =>
    eventually(`only ${fingerprint}`, 60_000, async () =>
      assert.deepEqual([...new Set(await issuers())], [fingerprint]),
    );
  const fingerprint = async (name: string) => (await shown()).backends.find((one) => one.name === name)?.fingerprint;

  await goesOn();
  const first = await fingerprint("ca-1");
  await only(first);

  // Zone-b is away: the new root waits for it.
  await linkOfB.close();
  await eventually("zone-b away", 20_000, async () =>
    assert.deepEqual(
      (await shown()).awayZones.map(({ zone }) => zone),
      ["zone-b"],
    ),
  );
  await put(global.api, "/meshes/default", meshWith("ca-2", "ca-1", "ca-2"));
  await eventually("zone-a trusts both", 20_000, async () => {
    const { step, missing, awayZones } = await shown();
    assert.equal(step, "distribute");
    assert.deepEqual(missing.map(({ proxy }) => proxy).sort(), ["south", "west"]);
    assert.deepEqual(
      awayZones.map(({ zone }) => zone),
      ["zone-b"],
    );
  });
  await goesOn();
  await only(first);
  assert.match(
    await applied(meshWith("ca-2", "ca-2")),
    /"ca-1" must stay: it issues certificates; proxies have certificates of it: .*west in zone-b.*; proxies of zones that are away may have some: zone-b/,
  );

  const back = await relayTo(global.kdsPort, linkOfB.port);
  own.atEnd(back.close);
  await reaches("retire");
  const second = await fingerprint("ca-2");
  await only(second);
  await goesOn();

  // Nobody knows what a zone has that is away.
  await back.close();
  await eventually("zone-b away", 20_000, async () => assert.equal((await shown()).step, "issue"));
  assert.match(
    await applied(meshWith("ca-2", "ca-2")),
    /"ca-1" must stay: proxies of zones that are away may have some: zone-b;/,
  );
  const again = await relayTo(global.kdsPort, linkOfB.port);
  own.atEnd(again.close);
  await reaches("retire");
  // A zone that has just come back may still have something to tell.
  await eventually("the first one off the list", 20_000, async () =>
    assert.equal(await applied(meshWith("ca-2", "ca-2")), "taken"),
  );
  await eventually("the first root trusted by nobody", 20_000, async () => {
    for (const { roots } of await Promise.all(proxies.map(heldBy)))
      assert.deepEqual(
        roots.map((root) => root.fingerprint256),
        [second],
      );
  });
  await goesOn();
  assert.equal((await shown()).step, "none");

  const counted = await Promise.all(loads.map((one) => one.stop()));
  await watched.end();
  noneFailed(t, "a root is rotated under load between all pairs of two zones", {
    sent: counted.reduce((sum, { sent }) => sum + sent, 0),
    failures: counted.flatMap(({ failures }) => failures),
  });
});

test("a proxy that does not answer holds the gate of a zone that stands alone, and is named", async (t) => {
  const own = await lab(t);
  const stage = await oneZone(own, meshWith("ca-1", "ca-1"));
  const backend = await stage.addBackend("backend-1", "127.0.0.2");
  const { api } = stage.zone;
  await eventually("a first answer", 20_000, async () => assert.equal((await get(stage.url)).status, 200));
  const { leaf } = await heldBy(stage.frontend);
  const pid = await backend.envoyPid();
  const goOn = async (): Promise<void> => void process.kill(pid, "SIGCONT");
  own.atEnd(goOn);
  process.kill(pid, "SIGSTOP");

  const begun = Date.now();
  await put(api, "/meshes/default", meshWith("ca-2", "ca-1", "ca-2"));
  await eventually("who is missing", 20_000, async () => {
    const { step, missing } = await shownBy(api);
    assert.equal(step, "distribute");
    assert.deepEqual(
      missing.map(({ proxy, zone }) => [proxy, zone]),
      [["backend-1", "zone-a"]],
    );
    const since = Date.parse(missing[0]?.since ?? "");
    assert.ok(since >= begun && since <= Date.now(), missing[0]?.since);
  });
  assert.equal((await heldBy(stage.frontend)).leaf.serialNumber, leaf.serialNumber);

  await goOn();
  await eventually("the last step", 30_000, async () => assert.equal((await shownBy(api)).step, "retire"));
  assert.notEqual((await heldBy(stage.frontend)).leaf.serialNumber, leaf.serialNumber);
  assert.equal((await get(stage.url)).status, 200);
});

const shownBy = async (api: string) => (await fetch(`${api}/meshes/default/_authorities`)).json() as Promise<Shown>;

interface Shown {
  readonly step: string;
  readonly missing: readonly { readonly proxy: string; readonly zone: string; readonly since: string }[];
  readonly awayZones: readonly { readonly zone: string; readonly since: string }[];
  readonly backends: readonly { readonly name: string; readonly fingerprint: string }[];
}
