// Commands put wrongly, settings that are none, and what is asked for but not there.

import type { Row, Stage } from "./stage.ts";

const help = (verb: string): string => `\n(kodiak ${verb}--help says what there is)`;

export function commands({ global, zone }: Stage): readonly Row[] {
  const onGlobal = { KODIAK_API: global.api };
  const config = (text: string, err: string, args = "get dataplanes"): Row => ({
    what: text.trim(),
    args: `${args} --config c.yaml`,
    files: { "c.yaml": text },
    code: 2,
    err: `error: ${err}`,
  });
  const variable = (name: string, value: string, err: string, args = "get dataplanes"): Row => ({
    what: `${name}=${value}`,
    args,
    env: { [name]: value },
    code: 2,
    err: `error: variable ${name}: ${err}`,
  });

  return [
    // Verbs and flags.
    { args: "aply", code: 2, err: `error: unknown command 'aply'\n(Did you mean apply?)${help("")}` },
    { args: "run zon", code: 2, err: `error: unknown command 'zon'\n(Did you mean zone?)${help("run ")}` },
    {
      args: "token datplane",
      code: 2,
      err: `error: unknown command 'datplane'\n(Did you mean dataplane?)${help("token ")}`,
    },
    {
      args: "get zones --ouput yaml",
      code: 2,
      err: `error: unknown option '--ouput'\n(Did you mean --output?)${help("get ")}`,
    },
    { args: "get zones -o xml", code: 2, err: 'error: flag --output: must be one of table, yaml, json, not "xml"' },
    { args: "get", code: 2, err: `error: missing required argument 'kind'${help("get ")}` },
    { args: "delete mesh", code: 2, err: `error: missing required argument 'name'${help("delete ")}` },
    { args: "apply", code: 2, err: "error: what is to be applied? Give a file with -f, or -f - for standard input" },
    {
      args: "run zone",
      code: 2,
      err: "error: --name: is required (or the variable KODIAK_NAME): name of this zone, a DNS name",
    },

    // Settings from a file and from the environment.
    {
      args: "get zones --config nope.yaml",
      code: 2,
      err: "error: --config: cannot read nope.yaml: there is no such file",
    },
    { args: "get zones --config folder", code: 2, err: "error: --config: cannot read folder: it is a folder" },
    config("mesh: default\nouput: yaml\n", 'c.yaml:2 ouput: is not a setting of this program; did you mean "output"?'),
    config("mesh: [a, b]\n", 'c.yaml:1 mesh: must be a text, not ["a","b"]'),
    config("mesh: a: b\n", "c.yaml:1: Nested mappings are not allowed in compact mappings"),
    config("- mesh\n", "c.yaml:1: must be settings, one `name: value` a line"),
    config(
      "mesh: *all\n",
      "c.yaml:1 mesh: Unresolved alias (the anchor must be set before the alias): all; quote it if it is a text",
    ),
    config(
      "dp-port: high\nkds-port: 5685\n",
      'settings:\n  c.yaml:2 kds-port: is not a setting of this program; did you mean "dp-port"?\n  c.yaml:1 dp-port: must be an integer from 0 to 65535, not "high"',
      "run zone --name z",
    ),
    variable("KODIAK_ALL_MESHES", "yes", 'must be true or false, not "yes"'),
    variable("KODIAK_DP_PORT", "-1", 'must be an integer from 0 to 65535, not "-1"', "run zone --name z"),
    variable("KODIAK_DRAIN_TIME", "30", 'must be a duration, like 30s or 1m30s, not "30"', "run proxy -d web.yaml"),

    // Who is asked.
    {
      args: "get zones --api localhost:5681",
      code: 2,
      err: "error: --api localhost:5681: must be the address of an API, like http://localhost:5681 or https://host:5682",
    },
    {
      args: "get zones --api https://cp:5682",
      code: 2,
      err: "error: --api https://cp:5682: https needs --ca-cert-file or --ca-fingerprint (or --tls-skip-verify)",
    },
    {
      args: "get zones --api http://cp:5681 --token t",
      code: 2,
      err: "error: --api http://cp:5681: a token is not sent over plain http to another machine; use https",
    },
    {
      args: `get zones --api https://127.0.0.1:${zone.apiHttpsPort} --tls-skip-verify --token hunter2`,
      code: 1,
      err: `error: https://127.0.0.1:${zone.apiHttpsPort} does not accept the token: Unauthenticated: could not parse token: token is malformed: it must be three base64url texts joined by dots; give another one with --token`,
    },
    {
      args: `get zones --api https://127.0.0.1:${zone.apiHttpsPort} --tls-skip-verify`,
      code: 1,
      err: 'error: user "mesh-system:anonymous/mesh-system:unauthenticated" cannot access the resource of type "Zone"; send a user token with the right "read" for kind Zone (a Role gives it) or the group mesh-system:admin',
    },

    // What is not there.
    {
      args: "get widgets",
      code: 2,
      err: 'error: there is no kind called "widgets"; there are meshes, dataplanes, zones, meshtimeouts and more (GET /_resources lists all)',
    },
    {
      args: "delete meshtimeot slow",
      code: 2,
      err: 'error: there is no kind called "meshtimeot"; did you mean "MeshTimeout"?',
    },
    {
      args: "get meshtimeout slow",
      code: 1,
      err: 'error: MeshTimeout "slow" in mesh "default" does not exist; `kodiak get meshtimeouts` lists what there is',
    },
    {
      args: "get meshtimeout slow -m other",
      code: 1,
      err: 'error: MeshTimeout "slow" in mesh "other" does not exist; `kodiak get meshtimeouts -m other` lists what there is',
    },
    {
      args: "get meshtimeouts -m nomesh",
      code: 1,
      err: 'error: mesh "nomesh" does not exist; `kodiak get meshes` lists what there is',
    },
    {
      args: "delete zoneingress gone",
      code: 1,
      err: 'error: ZoneIngress "gone" does not exist; `kodiak get zoneingresses` lists what there is',
    },
    {
      args: "delete zone zone-a",
      env: onGlobal,
      code: 1,
      err: 'error: Zone "zone-a": zone: unable to delete Zone, Zone CP is still connected, please shut it down first',
    },
    {
      args: "delete mesh default",
      code: 1,
      err: `error: Mesh is written on the global control plane (this zone's connection to it: 127.0.0.1:${global.kdsPort}), from where this zone receives it.`,
    },

    // Tokens.
    {
      args: "token dataplane --mesh nomesh",
      code: 1,
      err: 'error: a dataplane token: the key to sign it with, Secret "dataplane-token-signing-key-nomesh-1" in mesh "nomesh", does not exist; it comes with its mesh: apply that first',
    },
    {
      args: "token zone",
      code: 1,
      err: 'error: a zone token: the key to sign it with, GlobalSecret "zone-token-signing-key-1", does not exist; ask the global control plane, which issues tokens of zones',
    },
    { args: "token zone --scope ingres", code: 2, err: 'error: --scope: must be ingress or egress, not "ingres"' },
    { args: "token dataplane --tag web", code: 2, err: "error: --tag web: must be name=value, like version=v1" },
    {
      args: "token dataplane --type proxy",
      code: 2,
      err: 'error: flag --type: must be one of dataplane, ingress, egress, not "proxy"',
    },
    {
      args: "token dataplane --valid-for 1d",
      code: 2,
      err: 'error: flag --valid-for: must be a duration, like 30s or 1m30s, not "1d"',
    },
    { args: "token dataplane --valid-for 0s", code: 2, err: "error: --valid-for: must be a second or more, like 24h" },
    { args: "token user", code: 2, err: "error: --name: is required (or the variable KODIAK_NAME): who it is" },
    {
      args: "token user --name jane --signing-key key.pem",
      files: { "key.pem": "no key\n" },
      code: 2,
      err: "error: --signing-key key.pem: must be an RSA key, PKCS#1 in PEM or DER",
    },
  ];
}
