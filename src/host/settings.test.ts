import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { helpOf, loadSettings, readSettings, type Schema, type Sources, shownSettings } from "#host/settings.ts";
import { KodiakError } from "#lib/failure.ts";

const schema = {
  name: { type: "string", help: "name of this zone", required: true },
  store: { type: "string", help: "where resources are kept", choices: ["memory", "sqlite"], default: "sqlite" },
  kdsPort: { type: "integer", help: "port for zones", default: 5685, min: 0, max: 65535 },
  concurrency: { type: "integer", help: "worker threads", min: 1 },
  tlsSkipVerify: { type: "boolean", help: "do not check the certificate", default: false },
  zones: { type: "list", help: "zones that may join", default: [] },
  drainTime: { type: "duration", help: "time to drain", default: "30s" },
  tlsCertFile: { type: "file", help: "certificate" },
  token: { type: "string", help: "token", secret: true },
  vars: { type: "map", help: "variables", short: "v", default: {} },
  pin: { type: "integer", help: "pin", secret: true },
} as const satisfies Schema;

const none: Sources = { flags: {}, env: {} };
const named: Sources = { flags: { name: "z" }, env: {} };
const file = (text: string) => ({ name: "kodiak.yaml", text });

const messagesOf = (sources: Sources): readonly string[] => {
  try {
    readSettings(schema, sources);
  } catch (error) {
    if (!(error instanceof KodiakError) || error.failure.kind !== "invalid") throw error;
    return error.failure.issues.map((issue) => `${issue.path}: ${issue.message}`);
  }
  return [];
};

describe("settings", () => {
  it("have defaults", () => {
    assert.deepEqual(readSettings(schema, named), {
      name: "z",
      store: "sqlite",
      kdsPort: 5685,
      concurrency: undefined,
      tlsSkipVerify: false,
      zones: [],
      drainTime: 30_000,
      tlsCertFile: undefined,
      token: undefined,
      vars: {},
      pin: undefined,
    });
  });

  it("come from a flag, else a variable, else the file, else the default", () => {
    const flags = { kdsPort: "1", name: "z" };
    const env = { KODIAK_KDS_PORT: "2" };
    const text = "kds-port: 3";
    assert.equal(readSettings(schema, { flags, env, file: file(text) }).kdsPort, 1);
    assert.equal(readSettings(schema, { ...named, env, file: file(text) }).kdsPort, 2);
    assert.equal(readSettings(schema, { ...named, env: { KODIAK_KDS_PORT: "" }, file: file(text) }).kdsPort, 3);
  });

  const values: readonly [keyof typeof schema, string | boolean | readonly string[], unknown][] = [
    ["store", "memory", "memory"],
    ["kdsPort", "0", 0],
    ["tlsSkipVerify", true, true],
    ["tlsSkipVerify", "false", false],
    ["zones", "a, b", ["a", "b"]],
    ["zones", ["a", "b,c"], ["a", "b", "c"]],
    ["vars", ["a=1,2", "b=x=y"], { a: "1,2", b: "x=y" }],
    ["drainTime", "1m30s", 90_000],
    ["drainTime", "0", 0],
    ["tlsCertFile", "/etc/x.pem", "/etc/x.pem"],
  ];
  for (const [name, given, value] of values)
    it(`${name} ${given} is ${JSON.stringify(value)}`, () => {
      assert.deepEqual(readSettings(schema, { flags: { name: "z", [name]: given }, env: {} })[name], value);
    });

  it("hold several pairs in one variable, or a map in the file", () => {
    assert.deepEqual(readSettings(schema, { ...named, env: { KODIAK_VARS: "a=1,b=2" } }).vars, { a: "1", b: "2" });
    assert.deepEqual(readSettings(schema, { ...named, file: file("vars: {a: 1, b: x}") }).vars, { a: "1", b: "x" });
  });

  it("are read from YAML with its own types", () => {
    const text = "zones: [a, b]\ntls-skip-verify: true\nkds-port: 7\ndrain-time: 5s\nname: 12\n";
    const { zones, tlsSkipVerify, kdsPort, drainTime, name } = readSettings(schema, { ...none, file: file(text) });
    assert.deepEqual([zones, tlsSkipVerify, kdsPort, drainTime, name], [["a", "b"], true, 7, 5000, "12"]);
  });

  const refused: readonly [string, Sources, string][] = [
    ["nothing required given", none, "--name: is required (or the variable KODIAK_NAME): name of this zone"],
    [
      "a flag that is no integer",
      { ...none, flags: { name: "z", kdsPort: "http" } },
      'flag --kds-port: must be an integer from 0 to 65535, not "http"',
    ],
    [
      "a variable out of range",
      { ...named, env: { KODIAK_KDS_PORT: "70000" } },
      'variable KODIAK_KDS_PORT: must be an integer from 0 to 65535, not "70000"',
    ],
    [
      "too few",
      { ...none, flags: { name: "z", concurrency: "0" } },
      'flag --concurrency: must be an integer of at least 1, not "0"',
    ],
    [
      "a line of the file",
      { ...named, file: file("# c\nstore: disk\n") },
      'kodiak.yaml:2 store: must be one of memory, sqlite, not "disk"',
    ],
    [
      "a duration without a unit",
      { ...named, file: file("drain-time: 30") },
      "kodiak.yaml:1 drain-time: must be a duration, like 30s or 1m30s, not 30",
    ],
    [
      "a pair without a name",
      { ...none, flags: { name: "z", vars: ["a"] } },
      'flag --vars: must be a name and a value, like name=value, not ["a"]',
    ],
    [
      "an empty value",
      { ...named, file: file("zones:\n") },
      "kodiak.yaml:1 zones: must be a list of texts, like a,b, not null",
    ],
    [
      "an unknown key",
      { ...named, file: file("store: memory\nkds-prot: 1\n") },
      'kodiak.yaml:2 kds-prot: is not a setting of this program; did you mean "kds-port"?',
    ],
    [
      "a list at the top",
      { ...named, file: file("- a\n") },
      "kodiak.yaml:1: must be settings, one `name: value` a line",
    ],
    [
      "a secret",
      { ...named, env: { KODIAK_PIN: "hunter2" } },
      "variable KODIAK_PIN: must be an integer (the value is not shown)",
    ],
  ];
  for (const [what, sources, message] of refused)
    it(`refuses ${what}, naming the source`, () => assert.deepEqual(messagesOf(sources), [message]));

  it("names the line of a file that is not YAML", () => {
    assert.match(messagesOf({ ...named, file: file('a: 1\nb: "x\n') })[0]!, /^kodiak\.yaml:\d: /);
  });

  it("are refused all at once", () => {
    assert.equal(messagesOf({ flags: { kdsPort: "x" }, env: { KODIAK_STORE: "y" }, file: file("x: 1") }).length, 4);
  });

  it("are loaded from the file that --config or KODIAK_CONFIG names", (t) => {
    const folder = mkdtempSync(join(tmpdir(), "kodiak-settings-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const config = join(folder, "z.yaml");
    writeFileSync(config, "name: from-file\n");
    assert.equal(loadSettings(schema, { flags: { config }, env: {} }).name, "from-file");
    assert.equal(loadSettings(schema, { flags: {}, env: { KODIAK_CONFIG: config } }).name, "from-file");
    assert.throws(
      () => loadSettings(schema, { flags: { config: `${config}.missing` }, env: {} }),
      /--config: cannot read .*z\.yaml\.missing: there is no such file$/,
    );
  });

  it("have one help text", () => {
    assert.deepEqual(helpOf("kdsPort", schema.kdsPort), {
      flag: "--kds-port <n>",
      text: "port for zones (KODIAK_KDS_PORT, default 5685)",
    });
    assert.equal(helpOf("store", schema.store).text, "where resources are kept (KODIAK_STORE, default sqlite)");
    assert.equal(helpOf("store", schema.store).flag, "--store <memory|sqlite>");
    assert.equal(helpOf("vars", schema.vars).flag, "-v, --vars <name=value>");
    assert.equal(helpOf("vars", schema.vars).text, "variables (KODIAK_VARS)");
    assert.equal(helpOf("zones", schema.zones).text, "zones that may join (KODIAK_ZONES)");
    assert.equal(helpOf("tlsSkipVerify", schema.tlsSkipVerify).flag, "--tls-skip-verify");
  });

  it("are shown without secrets", () => {
    const shown = shownSettings(schema, readSettings(schema, { flags: { name: "z", token: "hunter2" }, env: {} }));
    assert.equal(shown.token, "*****");
    assert.equal(shown["kds-port"], 5685);
    assert.ok(!JSON.stringify(shown).includes("hunter2"));
  });
});
