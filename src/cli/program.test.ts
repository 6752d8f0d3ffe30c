// The program as a whole: help of every verb, and what is a wrong use.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { folder, kodiak } from "#cli/cli.fixture.ts";
import { verbs } from "#cli/verbs.ts";
import { version } from "#cli/version.ts";
import { flagOf, variableOf } from "#host/settings.ts";

describe("help", () => {
  for (const verb of verbs)
    it(`of ${verb.name} has all settings and an example that begins with it`, async () => {
      const { code, out } = await kodiak([...verb.name.split(" "), "--help"]);
      assert.equal(code, 0);
      const text = out.replaceAll(/\s+/g, " ");
      for (const name of Object.keys(verb.settings)) {
        assert.ok(text.includes(`${flagOf(name)} `), name);
        assert.ok(text.includes(`(${variableOf(name)}`), name);
      }
      assert.ok(out.includes(verb.summary.slice(0, 30)));
      assert.ok(verb.examples.some((example) => example.includes(`kodiak ${verb.name}`)));
      for (const example of verb.examples) assert.ok(out.includes(`\n  ${example}`));
    });

  it("lists the verbs, but not those for ourselves", async () => {
    const { code, out } = await kodiak(["--help"]);
    assert.equal(code, 0);
    const commands = [...out.matchAll(/^ {2}([a-z-]+)[ \n]/gm)].map(([, name]) => name);
    for (const name of commands)
      assert.match(out, new RegExp(`^ {2}${name}( [[<].*[\\]>])? {2,}\\w`, "m"), `what ${name} is for`);
    assert.deepEqual(commands, [
      "demo",
      "run",
      "apply",
      "get",
      "describe",
      "delete",
      "zone",
      "token",
      "install",
      "uninstall",
    ]);
  });

  it("and the version go to standard output", async () => {
    assert.deepEqual(await kodiak(["--version"]), { code: 0, out: `${version}\n`, err: "" });
  });
});

describe("a wrong use ends with 2 and says what to do", () => {
  const rows: readonly [readonly string[], string][] = [
    [["gett"], "error: unknown command 'gett'\n(Did you mean get?)\n(kodiak --help says what there is)\n"],
    [["get"], "error: missing required argument 'kind'\n(kodiak get --help says what there is)\n"],
    [
      ["get", "zones", "a", "b"],
      "error: too many arguments for 'get'. Expected 2 arguments but got 3: zones, a, b.\n(kodiak get --help says what there is)\n",
    ],
    [
      ["get", "zones", "--apu", "x"],
      "error: unknown option '--apu'\n(Did you mean --api?)\n(kodiak get --help says what there is)\n",
    ],
    [["get", "zones", "-o", "xml"], 'error: flag --output: must be one of table, yaml, json, not "xml"\n'],
    [
      ["get", "zones", "--api"],
      "error: option '--api <url>' argument missing\n(kodiak get --help says what there is)\n",
    ],
    [
      ["get", "zones", "--api", "localhost:5681"],
      "error: --api localhost:5681: must be the address of an API, like http://localhost:5681 or https://host:5682\n",
    ],
    [
      ["get", "zones", "--api", "https://cp:5682"],
      "error: --api https://cp:5682: https needs --ca-cert-file or --ca-fingerprint (or --tls-skip-verify)\n",
    ],
    [
      ["get", "zones", "--api", "http://cp:5681", "--token", "t"],
      "error: --api http://cp:5681: a token is not sent over plain http to another machine; use https\n",
    ],
    [
      ["get", "zones", "--tls-skip-verify", "--ca-fingerprint", "00"],
      "error: give one of --ca-cert-file, --ca-fingerprint and --tls-skip-verify\n",
    ],
    [["get", "dataplnes"], 'error: there is no kind called "dataplnes"; did you mean "dataplanes"?\n'],
    [["delete", "zone"], "error: missing required argument 'name'\n(kodiak delete --help says what there is)\n"],
    [["apply"], "error: what is to be applied? Give a file with -f, or -f - for standard input\n"],
    [["token", "user"], "error: --name: is required (or the variable KODIAK_NAME): who it is\n"],
    [["token", "dataplane", "--tag", "web"], "error: --tag web: must be name=value, like version=v1\n"],
    [
      ["token", "zone", "--valid-for", "1d"],
      'error: flag --valid-for: must be a duration, like 30s or 1m30s, not "1d"\n',
    ],
    [["run", "zone"], "error: --name: is required (or the variable KODIAK_NAME): name of this zone, a DNS name\n"],
  ];
  for (const [args, err] of rows)
    it(args.join(" "), async () => assert.deepEqual(await kodiak(args), { code: 2, out: "", err }));

  it("all wrong settings at once", async (t) => {
    const config = folder(t).file("c.yaml", "mesh: default\napu: x\n");
    const { code, err } = await kodiak(["get", "zones", "-o", "x", "--config", config], {
      env: { KODIAK_ALL_MESHES: "maybe" },
    });
    assert.equal(code, 2);
    assert.equal(
      err,
      `error: settings:
  ${config}:2 apu: is not a setting of this program; did you mean "api"?
  variable KODIAK_ALL_MESHES: must be true or false, not "maybe"
  flag --output: must be one of table, yaml, json, not "x"
`,
    );
  });

  it("a group without its verb", async () => {
    const { code, out, err } = await kodiak(["token"]);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, /Usage: kodiak token .*\n[\s\S]*dataplane/);
  });
});

it("colours are for terminals", async () => {
  const args = ["get", "dataplnes"];
  assert.ok(!(await kodiak(args)).err.includes("\u001b"));
  assert.ok((await kodiak(args, { hasColours: true })).err.startsWith("\u001b[31merror:\u001b[39m "));
});
