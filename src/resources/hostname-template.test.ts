import assert from "node:assert/strict";
import { test } from "node:test";
import { hostnameOf, templateIssue } from "#resources/hostname-template.ts";

const service = {
  ...{ mesh: "default", name: "backend-46484vczc724vc29" },
  labels: { "kuma.io/display-name": "backend", "kuma.io/zone": "zone-b", "k8s.kuma.io/namespace": "shop", pod: "db-0" },
};

test("fields and labels of a service make its name", () => {
  const made = (template: string) => hostnameOf(template, service, "zone-a");
  assert.deepEqual(made("{{ .DisplayName }}.{{.Namespace}}.svc.{{- .Zone -}}.mesh.local"), {
    hostname: "backend.shop.svc.zone-b.mesh.local",
  });
  assert.deepEqual(made("{{ .Name }}.{{ .Mesh }}"), { hostname: "backend-46484vczc724vc29.default" });
  assert.deepEqual(made('{{ label "pod" }}.{{label `pod`}}.local'), { hostname: "db-0.db-0.local" });
});

test("without labels it is of this zone, and called by its name", () => {
  const plain = { mesh: "default", name: "api", labels: {} };
  assert.deepEqual(hostnameOf("{{ .DisplayName }}.{{ .Zone }}", plain, "zone-a"), { hostname: "api.zone-a" });
});

test("what makes no name says why", () => {
  const why = (template: string) => {
    const made = hostnameOf(template, service, "zone-a");
    return "error" in made ? made.error : assert.fail(made.hostname);
  };
  assert.match(why('{{ label "rack" }}.local'), /^label rack is not there$/);
  assert.match(why("{{ .Nmae }}.local"), /^\.Nmae is none of \.Name, \.DisplayName/);
  assert.match(why("{{ .Name | upper }}.local"), /^\{\{ \.Name \| upper \}\} is neither/);
  assert.match(why("{{ .DisplayName }}_x.local"), /^"backend_x\.local" is no DNS name$/);
  assert.match(why("{{ .Zone }}..local"), /is no DNS name$/);
  assert.equal(templateIssue(""), "is required");
  assert.match(templateIssue("{{ .Name") ?? "", /without/);
  assert.equal(templateIssue("{{ .Name | upper }}"), undefined, "Kuma may know it");
});
