// Applying files: what is taken, and every message with file, document, line and field.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { seed } from "#api/api.fixture.ts";
import { folder, kodiak, served } from "#cli/cli.fixture.ts";
import { stepsOf } from "#cli/documents.ts";
import type { Commit } from "#resources/store.ts";

const timeout = (name: string, connectionTimeout = "1s") => `type: MeshTimeout
mesh: default
name: ${name}
spec:
  to:
    - targetRef:
        kind: Mesh
      default:
        connectionTimeout: ${connectionTimeout}
`;

describe("apply", () => {
  it("sends files and standard input as one transaction", async (t) => {
    const { run, store } = await served(t, {
      seeds: [seed("MeshTrace", "t", { labels: { "kuma.io/mesh": "default" } })],
    });
    const commits: Commit[] = [];
    store.watch((commit) => commits.push(commit));
    const { file } = folder(t);
    const first = file("a.yaml", `---\n# nothing\n---\n${timeout("a")}---\n${timeout("b")}`);
    const trace = JSON.stringify({ type: "MeshTrace", mesh: "default", name: "t", spec: {} });
    assert.deepEqual(await run(["apply", "-f", first, "-f", "-"], { input: trace }), {
      code: 0,
      out: `MeshTimeout "a" in mesh "default" created
MeshTimeout "b" in mesh "default" created
MeshTrace "t" in mesh "default" unchanged
`,
      err: 'warning: MeshTrace "t" in mesh "default": MeshTrace is stored and passed on; not acted on yet\n',
    });
    assert.equal(commits.length, 1);
    const again = await run(["apply", "-f", first, "-o", "json"]);
    const { revision, resources } = JSON.parse(again.out);
    assert.equal(revision, store.revision);
    assert.deepEqual(
      resources.map(({ name, result }: Record<string, string>) => [name, result]),
      [
        ["a", "unchanged"],
        ["b", "unchanged"],
      ],
    );
  });

  it("fills in variables, and leaves templates of other programs", async (t) => {
    const { run, store } = await served(t);
    const input = `type: HostnameGenerator
name: {{ name }}
spec:
  selector: { meshService: { matchLabels: { a: b } } }
  template: '{{ .DisplayName }}.{{ label "x" }}.{{suffix}}'
`;
    const { code, err } = await run(["apply", "-f", "-", "--var", "name=g", "--var", "suffix=mesh, a=b"], { input });
    assert.equal(code, 0, err);
    const { spec } = store.get({ kind: "HostnameGenerator", mesh: "", name: "g" })!;
    assert.equal(spec.template, '{{ .DisplayName }}.{{ label "x" }}.mesh, a=b');
  });

  it("takes unknown members only when told to", async (t) => {
    const { run, store } = await served(t);
    const input = `${timeout("a")}        future: 1\n`;
    assert.equal((await run(["apply", "-f", "-"], { input })).code, 1);
    const { code, err } = await run(["apply", "-f", "-", "--allow-unknown"], { input });
    assert.equal(code, 0);
    assert.equal(
      err,
      'warning: MeshTimeout "a" in mesh "default": spec.to[0].default.future: unknown member; kept and passed on, without effect\n',
    );
    assert.match(JSON.stringify(store.list("MeshTimeout")[0]?.spec), /"future":1/);
  });
});

describe("what is refused before anything is sent", () => {
  const rows: readonly [string, string, string][] = [
    [
      "YAML that is none",
      "type: Mesh\nname: [a\n",
      "document 1, line 3, column 1: Flow sequence in block collection must be sufficiently indented and end with a ]",
    ],
    ["a member twice", "type: Mesh\nname: a\nname: b\n", "document 1, line 3, column 1: Map keys must be unique"],
    ["a list", `${timeout("a")}---\n- a\n`, "document 2, line 11: a document must be a resource, with type and name"],
    [
      "a variable without a value",
      `type: Mesh\n\nname: {{ name }}\n`,
      "line 3: {{ name }} has no value; give it with --var name=…",
    ],
    ["no type", "name: a\n", "document 1, line 1: type: is required: the kind of the resource, like MeshTimeout"],
    [
      "Kubernetes' form",
      "apiVersion: v1\nkind: Mesh\n",
      "document 1, line 2: kind: this is Kubernetes' form; Kodiak takes the universal one, with `type` and `name` at the top",
    ],
    [
      "an unknown kind",
      "name: a\ntype: MeshTimeot\n",
      'document 1, line 2: type: there is no kind "MeshTimeot"; did you mean "MeshTimeout"?',
    ],
    [
      "an unknown member of a policy",
      `${timeout("a").replace("connectionTimeout", "conectionTimeout")}`,
      'document 1, line 9: spec.to[0].default.conectionTimeout: is not known here; did you mean "connectionTimeout"? --allow-unknown takes it as it is',
    ],
    [
      "a member in the wrong place",
      `${timeout("a")}conf: {}\n`,
      "document 1, line 10: conf: is not known here; --allow-unknown takes it as it is",
    ],
    [
      "an unknown member of a proxy",
      "type: Dataplane\nmesh: default\nname: d\nnetworking:\n  address: 127.0.0.1\n  inbound:\n    - port: 80\n      servicePrt: 81\n",
      'document 1, line 8: networking.inbound[0].servicePrt: is not known here; did you mean "servicePort"? --allow-unknown takes it as it is',
    ],
  ];
  for (const [what, input, message] of rows)
    it(what, async () => {
      // There is no control plane: none is asked.
      const { code, out, err } = await kodiak(["apply", "-f", "-"], {
        input,
        env: { KODIAK_API: "http://127.0.0.1:1" },
      });
      assert.deepEqual([code, out], [1, ""]);
      assert.equal(err, `error: standard input, ${message}\nnothing was applied\n`);
    });

  it("all at once, by file", async (t) => {
    const { file } = folder(t);
    const [a, b] = [file("a.yaml", "type: Mash\nname: x\n"), file("b.yaml", `${timeout("a")}---\nname: y\n`)];
    const { code, err } = await kodiak(["apply", "-f", a, "-f", b]);
    assert.equal(code, 1);
    assert.equal(
      err,
      `error: ${a}, document 1, line 1: type: there is no kind "Mash"; did you mean "Mesh"?
error: ${b}, document 2, line 11: type: is required: the kind of the resource, like MeshTimeout
nothing was applied
`,
    );
  });

  it("no file, and nothing in it", async (t) => {
    const missing = await kodiak(["apply", "-f", "/nope.yaml"]);
    assert.deepEqual(missing, {
      code: 2,
      out: "",
      err: "error: --file: cannot read /nope.yaml: there is no such file\n",
    });
    const { path } = folder(t);
    assert.equal((await kodiak(["apply", "-f", path])).err, `error: --file: cannot read ${path}: it is a folder\n`);
    assert.equal(
      (await kodiak(["apply", "-f", "-"], { input: "---\n" })).err,
      "error: there is no resource in standard input: a document must be a resource, with type and name\n",
    );
  });
});

describe("what the control plane refuses", () => {
  it("is said by document, line and field, and nothing is applied", async (t) => {
    const { run, store } = await served(t);
    const revision = store.revision;
    const input = `${timeout("a")}---
${timeout("b", "soon")}---
type: Dataplane
name: d
---
${timeout("c").replace("default", "nomesh")}---
${timeout("a")}`;
    const { code, out, err } = await run(["apply", "-f", "-"], { input });
    assert.deepEqual([code, out], [1, ""]);
    assert.equal(
      err,
      `error: standard input, document 2, line 19: spec.to[0].default.connectionTimeout: must be a duration, like 5s or 1h30m
error: standard input, document 3, line 21: Dataplane is written on the zone control plane that it belongs to.
error: standard input, document 4, line 25: mesh: mesh "nomesh" does not exist; apply it first, or in the same file
error: standard input, document 5, line 34: MeshTimeout "a" in mesh "default" is in the list twice; keep one of them
nothing was applied
`,
    );
    assert.equal(store.revision, revision);
  });

  it("names the place to edit, on a zone", async (t) => {
    const place = { kind: "zone", zone: "zone-a", isFederated: true } as const;
    const { run } = await served(t, { rules: { place, globalAddress: "grpcs://global:5685" } });
    const { err } = await run(["apply", "-f", "-"], { input: timeout("a") });
    assert.match(
      err,
      /^error: standard input, document 1, line 1: labels\["kuma\.io\/origin"\]: the origin label must be set to 'zone' .* applied on the global control plane \(this zone's connection to it: grpcs:\/\/global:5685\)\n/,
    );
    assert.equal(
      (
        await run(["apply", "-f", "-"], {
          input: timeout("a").replace("spec:", "labels: { kuma.io/origin: zone }\nspec:"),
        })
      ).code,
      0,
    );
  });
});

it("a control plane of another make is left to its own tool", async (t) => {
  const server = createServer((_request, response) => response.writeHead(404).end("404: Page Not Found"));
  t.after(() => server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const err = `error: ${url} has no /_apply: it is no API of a Kodiak control plane; give the address of one with --api, or use kumactl for one of Kuma\n`;
  assert.deepEqual(await kodiak(["apply", "-f", "-", "--api", url], { input: timeout("a") }), {
    code: 1,
    out: "",
    err,
  });
});

it("a path is read back into its steps", () => {
  assert.deepEqual(stepsOf('spec.to[0].tags["a.b/\\"c"].x-y'), ["spec", "to", 0, "tags", 'a.b/"c', "x-y"]);
  assert.deepEqual(stepsOf(""), []);
});
