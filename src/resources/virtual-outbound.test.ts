import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualNameOf, virtualOutboundIssues } from "#resources/virtual-outbound.ts";

const service = { name: "service", tagKey: "kuma.io/service" };
const instance = { name: "instance" };
const policy = {
  selectors: [{ match: { "kuma.io/service": "*" } }],
  conf: { host: "{{.instance}}.{{ .service }}.mesh", port: "8080", parameters: [service, instance] },
};

test("host and port are filled with the tags of an instance, and lead to instances with these", () => {
  const tags = { "kuma.io/service": "Backend", instance: "i-1", other: "x" };
  assert.deepEqual(virtualNameOf(policy, tags), {
    ...{ host: "i-1.backend.mesh", port: 8080 },
    tags: { "kuma.io/service": "Backend", instance: "i-1" },
  });
  const byTag = { ...policy, conf: { ...policy.conf, port: "{{.instance}}" } };
  assert.equal(virtualNameOf(byTag, { ...tags, instance: "81" })?.port, 81);
});

test("no name: a tag that is not there, another selector, and what is no DNS name or port", () => {
  const tags = { "kuma.io/service": "backend", instance: "i-1" };
  assert.equal(virtualNameOf(policy, { "kuma.io/service": "backend" }), undefined);
  assert.equal(virtualNameOf(policy, { ...tags, instance: "a_b" }), undefined);
  for (const port of ["0", "65536", "{{.instance}}"])
    assert.equal(virtualNameOf({ ...policy, conf: { ...policy.conf, port } }, tags), undefined);
  const other = [{ match: { "kuma.io/service": "db" } }, { match: { "kuma.io/service": "backend", instance: "i-2" } }];
  assert.equal(virtualNameOf({ ...policy, selectors: other }, tags), undefined);
  assert.notEqual(virtualNameOf({ ...policy, selectors: [...other, { match: { instance: "*" } }] }, tags), undefined);
});

test("what is wrong is said with its place", () => {
  assert.deepEqual(virtualOutboundIssues(policy), []);
  const issues = (conf: object, selectors: object[] = policy.selectors) =>
    virtualOutboundIssues({ selectors, conf: { ...policy.conf, ...conf } }).map(
      ({ path, message }) => `${path}: ${message}`,
    );
  assert.deepEqual(issues({ host: "{{.zone}}.mesh" }), ["conf.host: has {{.zone}}, but no parameter is called so"]);
  assert.deepEqual(issues({ port: "{{ if .a }}80{{ end }}" }), [
    "conf.port: must have no other template than {{.parameter}}",
  ]);
  assert.deepEqual(issues({ host: "a.mesh", port: "", parameters: [] }), [
    "conf.parameters: must have an item with tagKey kuma.io/service: a name leads to one service",
    "conf.port: is required",
  ]);
  assert.deepEqual(issues({ parameters: [service, instance, { name: "service" }] }), [
    "conf.parameters[2].name: must not be used twice: service",
  ]);
  assert.deepEqual(issues({}, [{ match: {} }]), ['selectors[0].match: must have a tag, like kuma.io/service: "*"']);
});
