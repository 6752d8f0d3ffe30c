// `POST /_apply`: one transaction, all or nothing.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seed, serve } from "#api/api.fixture.ts";
import type { JsonObject } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import { metaIssues } from "#resources/meta.ts";
import type { Resource } from "#resources/resource.ts";
import type { Commit } from "#resources/store.ts";

const policy = (name: string, more: JsonObject = {}) => ({
  type: "MeshTimeout",
  mesh: "default",
  name,
  spec: {},
  ...more,
});

describe("apply", () => {
  it("is one commit, and says what became of each", async (t) => {
    const { store, call } = await serve(t, {
      seeds: [seed("MeshTimeout", "same", { labels: { "kuma.io/mesh": "default" } }), seed("MeshTimeout", "old")],
      rules: { isActedOn: (kind) => kind.name !== "MeshTrace" },
    });
    const commits: Commit[] = [];
    store.watch((commit) => commits.push(commit));
    const body = [
      policy("new"),
      policy("same"),
      policy("old", { labels: { a: "b" } }),
      { ...policy("t"), type: "MeshTrace" },
      { type: "Zone", name: "z" },
    ];
    const { status, json } = await call("POST", "/_apply", { body });
    assert.equal(status, 200);
    assert.deepEqual(json, {
      revision: store.revision,
      resources: [
        { type: "MeshTimeout", mesh: "default", name: "new", result: "created", warnings: [] },
        { type: "MeshTimeout", mesh: "default", name: "same", result: "unchanged", warnings: [] },
        { type: "MeshTimeout", mesh: "default", name: "old", result: "updated", warnings: [] },
        {
          type: "MeshTrace",
          mesh: "default",
          name: "t",
          result: "created",
          warnings: ["MeshTrace is stored and passed on; not acted on yet"],
        },
        { type: "Zone", name: "z", result: "created", warnings: [] },
      ],
    });
    assert.deepEqual(
      commits.map(({ changes }) => changes.map(({ id }) => id.name)),
      [["new", "old", "t", "z"]],
    );
  });

  it("may refer to what comes later in the list", async (t) => {
    const { call } = await serve(t);
    const conf = { cert: { secret: "c" }, key: { secret: "k" } };
    const secret = (name: string) => ({ type: "Secret", mesh: "m", name, data: "YQ==" });
    const body = [
      policy("p", { mesh: "m" }),
      { type: "Mesh", name: "m", mtls: { enabledBackend: "b", backends: [{ name: "b", type: "provided", conf }] } },
      secret("c"),
      secret("k"),
    ];
    const { status, text } = await call("POST", "/_apply", { body });
    assert.equal(status, 200, text);
  });

  it("writes nothing if one is refused, and lists all refusals by position", async (t) => {
    const validate = (kind: Kind, resource: Resource) =>
      resource.name === "bad" ? [{ path: "spec.to", message: "must be" }] : metaIssues(kind, resource);
    const { store, call } = await serve(t, { rules: { validate } });
    const revision = store.revision;
    const body = [
      policy("good"),
      policy("bad"),
      policy("Bad"),
      policy("x", { mesh: "nomesh" }),
      { type: "MeshTimout", name: "x" },
      { name: "x" },
      7,
      policy("good"),
      { type: "Dataplane", name: "d" },
    ];
    const { status, json } = await call("POST", "/_apply", { body });
    assert.equal(status, 400);
    assert.equal(json.detail, "8 of 9 resources are refused; nothing was applied");
    assert.ok(Array.isArray(json.documents));
    const lines = json.documents.map(({ index, title, detail, invalid_parameters: parameters }) => {
      assert.ok(Array.isArray(parameters));
      return [
        index,
        title,
        ...(parameters.length === 0 ? [detail] : parameters.map(({ field, reason }) => `${field}: ${reason}`)),
      ];
    });
    const process = "Could not process a resource";
    assert.deepEqual(lines, [
      [1, process, "spec.to: must be"],
      [
        2,
        process,
        "name: must be lower case letters, digits, - and ., beginning and ending with a letter or digit, like backend-1",
      ],
      [3, process, 'mesh: mesh "nomesh" does not exist; apply it first, or in the same file'],
      [4, process, 'type: there is no kind "MeshTimout"; did you mean "MeshTimeout"?'],
      [5, process, "type: is required: the kind of the resource, like MeshTimeout"],
      [6, "Bad Request", "must be an object"],
      [7, process, ': MeshTimeout "good" in mesh "default" is in the list twice; keep one of them'],
      [8, "Method not allowed", "Dataplane is written on the zone control plane that it belongs to."],
    ]);
    assert.equal(store.revision, revision);
  });

  it("takes a list only", async (t) => {
    const { call } = await serve(t);
    for (const body of [{ resources: [] }, "{"]) {
      const { status, json } = await call("POST", "/_apply", { body });
      assert.deepEqual([status, json.title], [400, "Bad Request"]);
    }
  });
});
