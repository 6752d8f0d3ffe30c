// Control planes that cannot start: each ends by itself, also when it has opened something already.

import type { Row, Stage } from "./stage.ts";

export function controlPlanes({ takenPort: port }: Stage): readonly Row[] {
  const ports = "--address 127.0.0.1 --dp-port 0 --api-port 0 --api-https-port 0 --diagnostics-port 0";
  const zone = `run zone --name z ${ports}`;
  const taken = `127.0.0.1:${port}`;
  const files = { "text.pem": "no certificate\n" };
  const storeKey = `k ${Buffer.alloc(32).toString("base64")}`;
  return [
    {
      args: `${zone} --dp-port ${port}`,
      code: 1,
      err: `error: cannot listen on ${taken}: the address is in use; stop the other program or choose another port`,
    },
    {
      args: `${zone} --api-port ${port}`,
      code: 1,
      err: `error: the API's address ${taken} is in use; stop what listens there or give another port with --api-port`,
    },
    {
      args: `${zone} --api-https-port ${port}`,
      code: 1,
      err: `error: the API's address ${taken} is in use; stop what listens there or give another port with --api-https-port`,
    },
    {
      args: `run global ${ports} --kds-port ${port}`,
      code: 1,
      err: `error: cannot listen on ${taken}: the address is in use; stop the other program or choose another port`,
    },
    {
      args: `${zone} --address 203.0.113.9`,
      code: 1,
      err: "error: cannot listen on 203.0.113.9:0: this machine does not have that address; choose one of its own, or 0.0.0.0 for all",
    },
    {
      args: `${zone} --tls-cert-file text.pem`,
      files,
      code: 2,
      err: "error: give both of --tls-cert-file and --tls-key-file, or none",
    },
    {
      args: `${zone} --tls-cert-file nope.pem --tls-key-file text.pem`,
      files,
      code: 2,
      err: "error: --tls-cert-file: cannot read nope.pem: there is no such file",
    },
    {
      args: "run zone --name z --dp-port http",
      code: 2,
      err: 'error: flag --dp-port: must be an integer from 0 to 65535, not "http"',
    },
    {
      args: "run zone --name z --store disk",
      code: 2,
      err: 'error: flag --store: must be one of sqlite, memory, not "disk"',
    },
    {
      args: `${zone} --store-key-file nope`,
      code: 2,
      err: "error: --store-key-file: cannot read nope: there is no such file",
    },
    {
      args: `${zone} --store-key-file keys`,
      what: "a key that is too short, and a line that is none",
      files: { keys: "k hunter2=\nhunter3\n" },
      code: 2,
      err: "error: --store-key-file keys: line 1: the key k must be the base64 of 32 bytes; make one with `openssl rand -base64 32`; line 2: must be an id and a key in base64, separated by a space",
    },
    {
      args: zone,
      what: "a key of the environment that is none",
      env: { KODIAK_STORE_KEYS: "hunter2" },
      code: 2,
      err: "error: --store-keys: line 1: must be an id and a key in base64, separated by a space",
    },
    {
      args: `${zone} --store-key-file keys`,
      what: "keys of the environment, too",
      files: { keys: storeKey },
      env: { KODIAK_STORE_KEYS: storeKey },
      code: 2,
      err: "error: give one of --store-key-file and --store-keys (the variable KODIAK_STORE_KEYS), not both",
    },
    {
      args: "run zone --name z --join-token hunter2",
      code: 2,
      err: "error: --join-token: a zone that stands alone joins nobody; give --global, too, or no token",
    },
    {
      args: "run zone --name z --join-token-file nope",
      code: 2,
      err: "error: --join-token-file: a zone that stands alone joins nobody; give --global, too, or no token",
    },
    { args: "run zone --name Zone_1", code: 2, err: "error: --name Zone_1: must be a DNS name, like zone-a" },
    {
      args: "run zone --name z --global http://g",
      code: 2,
      err: "error: --global http://g: must be like grpcs://global.example.com:5685",
    },
    {
      args: "run zone --name z --global grpcs://g",
      code: 2,
      err: "error: how is the certificate of grpcs://g to be checked? Give --ca-cert-file, or --ca-fingerprint with what the control plane prints when it starts; --tls-skip-verify connects to anybody",
    },
    {
      args: `${zone} --global grpcs://g:1 --ca-fingerprint 12`,
      code: 2,
      err: "error: --ca-fingerprint: must be 64 hexadecimal digits: the SHA-256 fingerprint of the server's certificate",
    },
    {
      args: `${zone} --global grpcs://g:1 --ca-cert-file text.pem`,
      files,
      code: 2,
      err: "error: --ca-cert-file text.pem: must be one or more certificates in PEM",
    },
    {
      args: `${zone} --global grpcs://g:1 --tls-skip-verify --ca-fingerprint 12`,
      code: 2,
      err: "error: give one of --ca-cert-file, --ca-fingerprint and --tls-skip-verify",
    },
  ];
}
