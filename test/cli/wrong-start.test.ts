// Components that cannot start: each ends by itself with the code and the sentence that the table says, also when it has
// opened something already. Logs go to standard output, so standard error is the sentence and nothing else.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { findEnvoy } from "#agent/envoy-binary.ts";
import { fetchEnvoy, progressLine } from "#agent/envoy-fetch.ts";
import { lab, startGlobal, startZone } from "../lab/lab.ts";

const program = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

async function kodiak(t: TestContext, ...args: readonly string[]) {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "ignore", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  const [err, [code]] = await Promise.all([child.stderr.toArray(), once(child, "exit")]);
  return { code, err: Buffer.concat(err).toString() };
}

/** A port of 127.0.0.1 that somebody listens on. */
async function takenPort(t: TestContext): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  return String((server.address() as AddressInfo).port);
}

const freePorts = ["--address", "127.0.0.1", "--dp-port", "0", "--api-port", "0", "--api-https-port", "0"];
const dataplane = (port: number) => `type: Dataplane
mesh: default
name: {{ name }}
networking:
  address: 127.0.0.1
  inbound:
    - port: ${port}
      tags: { kuma.io/service: web }
`;

test("a control plane that cannot start", async (t) => {
  const { folder } = await lab(t);
  const port = await takenPort(t);
  const text = join(folder, "text.pem");
  writeFileSync(text, "no certificate\n");
  const ports = [...freePorts, "--data", join(folder, "cp")];
  const how =
    "Give --ca-cert-file, or --ca-fingerprint with what the control plane prints when it starts; --tls-skip-verify connects to anybody";

  const rows: readonly (readonly [readonly string[], code: number, err: string])[] = [
    [
      ["zone", "--name", "z", ...ports, "--dp-port", port],
      1,
      `cannot listen on 127.0.0.1:${port}: the address is in use; stop the other program or choose another port`,
    ],
    [
      ["zone", "--name", "z", ...ports, "--api-port", port],
      1,
      `the API's address 127.0.0.1:${port} is in use; stop what listens there or give another port with --api-port`,
    ],
    [
      ["zone", "--name", "z", ...ports, "--api-https-port", port],
      1,
      `the API's address 127.0.0.1:${port} is in use; stop what listens there or give another port with --api-https-port`,
    ],
    [
      ["global", ...ports, "--kds-port", port],
      1,
      `cannot listen on 127.0.0.1:${port}: the address is in use; stop the other program or choose another port`,
    ],
    [
      ["zone", "--name", "z", ...ports, "--address", "203.0.113.9"],
      1,
      "cannot listen on 203.0.113.9:0: this machine does not have that address; choose one of its own, or 0.0.0.0 for all",
    ],
    [
      ["zone", "--name", "z", ...ports, "--tls-cert-file", text],
      2,
      "give both of --tls-cert-file and --tls-key-file, or none",
    ],
    [
      ["zone", "--name", "z", ...ports, "--tls-cert-file", "/nope", "--tls-key-file", text],
      2,
      "--tls-cert-file: cannot read /nope: there is no such file",
    ],
    [["zone", "--name", "z", "--dp-port", "http"], 2, 'flag --dp-port: must be an integer from 0 to 65535, not "http"'],
    [["zone", "--name", "z", "--store", "disk"], 2, 'flag --store: must be one of sqlite, memory, not "disk"'],
    [["zone", "--name", "Zone_1"], 2, "--name Zone_1: must be a DNS name, like zone-a"],
    [
      ["zone", "--name", "z", "--global", "http://g"],
      2,
      "--global http://g: must be like grpcs://global.example.com:5685",
    ],
    [["zone", "--name", "z", "--global", "grpcs://g"], 2, `how is the certificate of grpcs://g to be checked? ${how}`],
    [
      ["zone", "--name", "z", ...ports, "--global", "grpcs://g:1", "--ca-fingerprint", "12"],
      1,
      "the trust in g:1: sha256: must be 64 hexadecimal digits: the SHA-256 fingerprint of the server's certificate",
    ],
  ];
  for (const [args, code, err] of rows)
    await t.test(args.join(" ").replaceAll(folder, "…"), async (t) =>
      assert.deepEqual(await kodiak(t, "run", ...args), { code, err: `error: ${err}\n` }),
    );
});

test("a second control plane on the same data", async (t) => {
  const { folder } = await lab(t);
  const args = ["run", "zone", "--name", "z", ...freePorts, "--data", folder];
  const first = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => first.kill("SIGKILL"));
  const ended = once(first, "exit");
  for await (const chunk of first.stdout.iterator({ destroyOnReturn: false }))
    if (String(chunk).includes("is ready")) break;
  first.stdout.resume();
  const { code, err } = await kodiak(t, ...args);
  const file = join(folder, "kodiak.db");
  assert.equal(
    err,
    `error: the store ${file} is in use by another control plane; stop that one or give another folder\n`,
  );
  assert.equal(code, 1);
  first.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
});

test("a proxy that cannot start", async (t) => {
  const of = await lab(t);
  const global = await startGlobal(of, ["zone-a"]);
  const zone = await startZone(of, "zone-a");
  const file = (name: string, text: string): string => {
    const path = join(of.folder, name);
    writeFileSync(path, text);
    return path;
  };
  const web = file("web.yaml", dataplane(8080));
  const wrongPort = file("wrong-port.yaml", dataplane(99999));
  const misspelt = file("misspelt.yaml", dataplane(8080).replace("address", "adress"));
  const noMesh = file("no-mesh.yaml", dataplane(8080).replace("default", "nomesh"));
  const twice = file("twice.yaml", `${dataplane(8080)}---\n${dataplane(8081)}`);
  const noEnvoy = file("envoy", "");
  const envoy = await findEnvoy(process.env).catch(() => fetchEnvoy(process.env, progressLine(process.stderr)));
  const zoneUrl = `https://127.0.0.1:${zone.dpPort}`;
  const globalUrl = `https://127.0.0.1:${global.dpPort}`;
  const common = ["--tls-skip-verify", "--readiness-port", "0", "--envoy", envoy];
  const at = (url: string) => ["--control-plane", url, ...common, "--var", "name=web"];

  const rows: readonly (readonly [readonly string[], code: number, err: string])[] = [
    [["proxy"], 2, "--dataplane: is required (or the variable KODIAK_DATAPLANE): manifest of the proxy, YAML or JSON"],
    [["proxy", "-d", "/nope.yaml", ...at(zoneUrl)], 2, "--dataplane: cannot read /nope.yaml: there is no such file"],
    [["proxy", "-d", web, ...common], 1, `${web}: {{ name }}: has no value: give it as variable name=…`],
    [["proxy", "-d", twice, ...at(zoneUrl)], 1, `${twice}: must hold one Dataplane`],
    [["proxy", "-d", misspelt, ...at(zoneUrl)], 1, `${misspelt}: networking.adress: is not a member of Dataplane`],
    [["ingress", "-d", web, ...at(zoneUrl)], 1, `${web}: type: must be ZoneIngress, not "Dataplane"`],
    [
      ["proxy", "-d", web, ...at("http://z:1")],
      2,
      "--control-plane http://z:1: must be like https://zone.example.com:5678",
    ],
    [
      ["proxy", "-d", web, ...at(zoneUrl), "--token", "a", "--token-file", web],
      2,
      "give one of --token and --token-file",
    ],
    [
      ["proxy", "-d", web, ...at(zoneUrl), "--token-file", "/nope"],
      2,
      "--token-file: cannot read /nope: there is no such file",
    ],
    [
      ["proxy", "-d", web, ...at(zoneUrl), "--envoy", noEnvoy],
      1,
      `there is no executable Envoy at ${noEnvoy}, which the given path names`,
    ],
    [
      ["proxy", "-d", web, ...at(zoneUrl), "--drain-time", "30"],
      2,
      'flag --drain-time: must be a duration, like 30s or 1m30s, not "30"',
    ],
    [
      ["proxy", "-d", wrongPort, ...at(zoneUrl), "--token", "x"],
      1,
      `${zoneUrl} refuses this proxy: networking.inbound[0].port: must be a port, 1 to 65535`,
    ],
    [
      ["proxy", "-d", noMesh, ...at(zoneUrl), "--token", "x"],
      1,
      `${zoneUrl} refuses this proxy: mesh: mesh "nomesh" does not exist`,
    ],
    [
      ["proxy", "-d", web, ...at(zoneUrl)],
      1,
      `${zoneUrl} refuses this proxy: Dataplane Token is required: make one with \`kodiak token dataplane\` and give it to the proxy as its token file.`,
    ],
    [
      ["proxy", "-d", web, ...at(globalUrl), "--token", "x"],
      1,
      `${globalUrl} refuses this proxy: this is the global control plane, which serves no proxies: give the address of the zone control plane of the proxy's zone, port 5678, as the control plane's address`,
    ],
  ];
  for (const [args, code, err] of rows)
    await t.test(args.join(" ").replaceAll(of.folder, "…"), async (t) =>
      assert.deepEqual(await kodiak(t, "run", ...args), { code, err: `error: ${err}\n` }),
    );
});
