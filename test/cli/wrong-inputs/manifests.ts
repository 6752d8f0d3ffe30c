// Files given to `kodiak apply`. Whatever is wrong with one document, nothing of them all is applied.

import type { Row, Stage } from "./stage.ts";

export const timeout = (name: string) => `type: MeshTimeout
mesh: default
name: ${name}
spec:
  to:
    - targetRef: { kind: Mesh }
      default: { connectionTimeout: 1s }
`;
const permission = `type: MeshTrafficPermission
mesh: default
name: allow
spec:
  from:
    - targetRef: { kind: Mesh }
      default: { action: Allow }
`;
const dataplane = `type: Dataplane
mesh: default
name: web
networking:
  address: 127.0.0.1
  inbound:
    - port: 8080
      tags: { kuma.io/service: web }
`;
const mesh = `type: Mesh
name: secure
mtls:
  enabledBackend: ca-1
  backends:
    - name: ca-1
      type: builtin
`;

/** Each is right; the row says what is changed in it. */
function wrong(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`there is no ${from} to change`);
  return text.replace(from, to);
}

export function appliedOnGlobal({ global, dp }: Stage): readonly Row[] {
  const env = { KODIAK_API: global.api };
  const file = (what: string, text: string, err: string): Row => ({
    what,
    args: "apply -f a.yaml",
    files: { "a.yaml": text },
    env,
    code: 1,
    err: `error: a.yaml, ${err}\nnothing was applied`,
  });
  const inTimeout = (from: string, to: string, err: string): Row =>
    file(`${from.trim()} → ${to.trim()}`, wrong(timeout("a"), from, to), `document 1, ${err}`);
  const inMesh = (from: string, to: string, err: string): Row =>
    file(`${from.trim()} → ${to.trim()}`, wrong(mesh, from, to), `document 1, ${err}`);

  return [
    // Files that are none, or not YAML.
    { args: "apply -f nope.yaml", code: 2, err: "error: --file: cannot read nope.yaml: there is no such file" },
    { args: "apply -f folder", code: 2, err: "error: --file: cannot read folder: it is a folder" },
    {
      what: "an empty file",
      args: "apply -f a.yaml",
      files: { "a.yaml": "# nothing\n---\n" },
      code: 2,
      err: "error: there is no resource in a.yaml: a document must be a resource, with type and name",
    },
    {
      what: "nothing",
      args: "apply -f -",
      code: 2,
      err: "error: there is no resource in standard input: a document must be a resource, with type and name",
    },
    {
      what: "no YAML",
      args: "apply -f -",
      input: "type: Mesh\nname: [a\n",
      code: 1,
      err: "error: standard input, document 1, line 3, column 1: Flow sequence in block collection must be sufficiently indented and end with a ]\nnothing was applied",
    },
    file("a tab", "type: Mesh\n\tname: a\n", "document 1, line 2, column 1: Tabs are not allowed as indentation"),
    file(
      "no YAML in the second document",
      `${timeout("a")}---\ntype: Mesh\n  name: b\n`,
      "document 2, line 9, column 7: Nested mappings are not allowed in compact mappings",
    ),
    file("a member twice", "type: Mesh\nname: a\nname: b\n", "document 1, line 3, column 1: Map keys must be unique"),
    file(
      "an alias that stands for nothing",
      "type: Mesh\nname: *a\n",
      "document 1, line 2: *a stands for nothing: no &a is before it; quote it if it is a text",
    ),
    file("a text", "Mesh a\n", "document 1, line 1: a document must be a resource, with type and name"),
    file(
      "a list",
      `${timeout("a")}---\n- type: Mesh\n`,
      "document 2, line 9: a document must be a resource, with type and name",
    ),
    file(
      "a variable without a value",
      timeout("{{ name }}"),
      "line 3: {{ name }} has no value; give it with --var name=…",
    ),

    // What kind of resource it is.
    file("no type", "name: a\n", "document 1, line 1: type: is required: the kind of the resource, like MeshTimeout"),
    file(
      "Kubernetes' form",
      "apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata: { name: a }\n",
      "document 1, line 2: kind: this is Kubernetes' form; Kodiak takes the universal one, with `type` and `name` at the top",
    ),
    inTimeout(
      "type: MeshTimeout",
      "type: MeshTimeot",
      'line 1: type: there is no kind "MeshTimeot"; did you mean "MeshTimeout"?',
    ),

    // Its name and mesh.
    inTimeout("name: a\n", "", "line 1: name: is required"),
    inTimeout("name: a", "name: 1", "line 3: name: must be a string; quote it"),
    inTimeout(
      "name: a",
      "name: Slow_1",
      "line 3: name: must be lower case letters, digits, - and ., beginning and ending with a letter or digit, like backend-1",
    ),
    inTimeout("mesh: default", "mesh: 1", "line 2: mesh: must be a string; quote it"),
    inTimeout(
      "mesh: default",
      "mesh: nomesh",
      'line 2: mesh: mesh "nomesh" does not exist; apply it first, or in the same file',
    ),
    inTimeout("spec:", "labels: { tier: 1 }\nspec:", 'line 4: labels["tier"]: must be a string; quote it'),

    // What it says.
    file("no spec", "type: MeshTimeout\nmesh: default\nname: a\n", "document 1, line 1: spec: is required"),
    inTimeout(
      "connectionTimeout",
      "conectionTimeout",
      'line 7: spec.to[0].default.conectionTimeout: is not known here; did you mean "connectionTimeout"? --allow-unknown takes it as it is',
    ),
    inTimeout("spec:", "conf: {}\nspec:", "line 4: conf: is not known here; --allow-unknown takes it as it is"),
    inTimeout(
      "connectionTimeout: 1s",
      "connectionTimeout: 1d",
      "line 7: spec.to[0].default.connectionTimeout: must be a duration, like 5s or 1h30m",
    ),
    inTimeout(
      "connectionTimeout: 1s",
      "connectionTimeout: 1",
      "line 7: spec.to[0].default.connectionTimeout: must be a string; put quotes around it",
    ),
    inTimeout(
      "kind: Mesh }",
      "kind: MeshGateway, name: edge }",
      "line 6: spec.to[0].targetRef.kind: must be one of Mesh, MeshService, MeshExternalService, MeshMultiZoneService, MeshHTTPRoute here, not MeshGateway",
    ),
    file(
      "a value that is none of its list",
      wrong(permission, "Allow }", "Permit }"),
      "document 1, line 7: spec.from[0].default.action: must be one of Allow, Deny, AllowWithShadowDeny",
    ),
    inMesh(
      "enabledBackend: ca-1",
      "enabledBackend: ca-2",
      "line 4: mtls.enabledBackend: must be the name of one of mtls.backends, not ca-2",
    ),
    inMesh("type: builtin", "type: vault", "line 7: mtls.backends[0].type: must be builtin or provided"),
    inMesh(
      "type: builtin",
      "type: provided\n      conf: { cert: { secret: c }, key: { inlineString: k } }",
      'line 8: mtls.backends[0].conf.cert: could not load data: the Secret "c" in mesh "secure" does not exist; apply it first, or in the same file',
    ),
    file(
      "a secret that is not in base64",
      "type: Secret\nmesh: default\nname: s\ndata: not base64!\n",
      "document 1, line 4: data: must be bytes in base64 (the value is not shown)",
    ),
    file(
      "a word for true or false",
      "type: Zone\nname: zone-b\nenabled: yes\n",
      'document 1, line 3: enabled: must be true or false, not "yes"',
    ),

    // Where it is written.
    file(
      "a proxy, on global",
      dataplane,
      "document 1, line 1: Dataplane is written on the zone control plane that it belongs to.",
    ),
    file(
      "an insight",
      "type: DataplaneInsight\nmesh: default\nname: web\n",
      "document 1, line 1: DataplaneInsight is kept by control planes themselves and can only be read.",
    ),

    // Several documents: one transaction.
    file(
      "the second of two documents",
      `${timeout("a")}---\n${wrong(timeout("b"), "1s", "soon")}`,
      "document 2, line 15: spec.to[0].default.connectionTimeout: must be a duration, like 5s or 1h30m",
    ),
    file(
      "the same twice",
      `${timeout("a")}---\n${timeout("b")}---\n${timeout("a")}`,
      'document 3, line 17: MeshTimeout "a" in mesh "default" is in the list twice; keep one of them',
    ),
    {
      what: "two files with a right and a wrong document each",
      args: "apply -f a.yaml -f b.yaml",
      files: {
        "a.yaml": `${mesh}---\n${wrong(timeout("a"), "mesh: default", "mesh: nomesh")}`,
        "b.yaml": `${wrong(timeout("b"), "kind: Mesh }", "kind: Everything }")}---\n${timeout("c")}`,
      },
      env,
      code: 1,
      err: `error: a.yaml, document 2, line 10: mesh: mesh "nomesh" does not exist; apply it first, or in the same file
error: b.yaml, document 1, line 6: spec.to[0].targetRef.kind: must be one of Mesh, Dataplane, MeshSubset, MeshGateway, MeshService, MeshExternalService, MeshMultiZoneService, MeshServiceSubset, MeshHTTPRoute
nothing was applied`,
    },

    // To whom.
    {
      what: "no control plane",
      args: "apply -f a.yaml --api http://127.0.0.1:1",
      files: { "a.yaml": timeout("a") },
      code: 1,
      err: "error: cannot reach http://127.0.0.1:1: nothing listens there; start the server or correct the address (--api or KODIAK_API names the control plane)",
    },
    {
      what: "another port of a control plane",
      args: `apply -f a.yaml --tls-skip-verify --api ${dp.zone}`,
      files: { "a.yaml": timeout("a") },
      code: 1,
      err: `error: ${dp.zone} has no /_apply: it is no API of a Kodiak control plane; give the address of one with --api, or use kumactl for one of Kuma`,
    },
  ];
}

export function appliedOnZone({ global }: Stage): readonly Row[] {
  const globalAddress = `the global control plane (this zone's connection to it: 127.0.0.1:${global.kdsPort})`;
  const file = (what: string, text: string, err: string): Row => ({
    what,
    args: "apply -f a.yaml",
    files: { "a.yaml": text },
    code: 1,
    err: `error: a.yaml, document 1, ${err}\nnothing was applied`,
  });
  return [
    file(
      "a policy that is not the zone's own",
      timeout("a"),
      `line 1: labels["kuma.io/origin"]: the origin label must be set to 'zone' for a resource of this zone alone; what holds in all zones is applied on ${globalAddress}`,
    ),
    file("a mesh", mesh, `line 1: Mesh is written on ${globalAddress}, from where this zone receives it.`),
    file(
      "a text for a port",
      wrong(dataplane, "8080", "http"),
      'line 7: networking.inbound[0].port: must be a whole number, 0 or more, not "http"',
    ),
    file(
      "a port that is none",
      wrong(dataplane, "8080", "99999"),
      "line 7: networking.inbound[0].port: must be a port, 1 to 65535",
    ),
    file(
      "a state that is none",
      wrong(dataplane, "- port", "- state: Redy\n      port"),
      'line 7: networking.inbound[0].state: must be one of Ready, NotReady, Ignored, not "Redy"',
    ),
    file(
      "a proxy of another zone",
      wrong(dataplane, "networking", "labels: { kuma.io/zone: zone-b }\nnetworking"),
      'line 4: labels["kuma.io/zone"]: kuma.io/zone label should have zone-a value',
    ),
  ];
}
