// The cases in `<policy>/golden/`: policies, a place, and the difference that they make there. Every policy in them must be
// valid, and what they make must fit Envoy's messages. `GOLDEN=update` writes what is expected anew; then `npm run fix`.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type DescMessage, fromJson, type JsonValue as ProtoJson } from "@bufbuild/protobuf";
import { parseDocument } from "yaml";
import { ClusterSchema } from "#gen/envoy/config/cluster/v3/cluster_pb.ts";
import { HttpProtocolOptionsSchema } from "#gen/envoy/config/core/v3/protocol_pb.ts";
import { RouteActionSchema, RouteSchema } from "#gen/envoy/config/route/v3/route_components_pb.ts";
import { RBACSchema } from "#gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { HttpConnectionManagerSchema } from "#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { TcpProxySchema } from "#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import { registry } from "#gen/registry.ts";
import { isEqual, isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import { findPolicy } from "#policies/all.ts";
import { validateResource } from "#policies/kinds.ts";
import { matchedPolicies } from "#policies/match.ts";
import type { HttpRule } from "#policies/mesh-http-route/http-rule.ts";
import { meshHttpRoute } from "#policies/mesh-http-route/translate.ts";
import { type Pieces, type Policy, parsePolicy } from "#policies/policy.ts";
import { backendProxy, written } from "#policies/policy-for-test.ts";
import type { Destination } from "#policies/to.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Labels, Resource } from "#resources/resource.ts";

interface Case {
  readonly policies: readonly {
    readonly type: string;
    readonly name: string;
    readonly labels?: Labels;
    readonly spec: JsonObject;
  }[];
  /** One of these: what goes to a service or a MeshService, what comes to an inbound of `backendProxy`. */
  readonly service?: string;
  readonly meshService?: string;
  readonly inbound?: string;
  /** What the service speaks; absent: http. */
  readonly protocol?: string;
  /** Only for requests that this MeshHTTPRoute among the policies leads. */
  readonly route?: string;
  readonly expect: JsonValue;
}

const here = import.meta.dirname;
for (const folder of readdirSync(here).filter((name) => existsSync(join(here, name, "golden"))))
  for (const file of readdirSync(join(here, folder, "golden"))) {
    test(`${folder}: ${file.replace(".yaml", "").replaceAll("-", " ")}`, () => {
      const path = join(here, folder, "golden", file);
      const document = parseDocument(readFileSync(path, "utf8"));
      const given: Case = document.toJS();
      for (const one of given.policies)
        assert.deepEqual(validateResource(kindNamed(one.type), written(one.type, one)), []);
      const found = difference(given);
      if (process.env.GOLDEN === "update" && !isEqual(found, given.expect)) {
        document.set("expect", found);
        writeFileSync(path, document.toString({ lineWidth: 120 }));
        return;
      }
      assert.deepEqual(found, given.expect);
    });
  }

function difference(given: Case): JsonValue {
  const found = translated(given, given.policies);
  return Array.isArray(found) ? found : changed(translated(given, []), found);
}

function translated(given: Case, written: Case["policies"]): JsonValue {
  const kind = given.policies.at(-1)?.type ?? "";
  const policy = findPolicy(kind);
  assert.ok(policy, `no policy ${kind}`);
  const routes = parsed(meshHttpRoute, written);
  const matches = matchedPolicies(parsed(policy, written), backendProxy, routes);
  if (given.inbound !== undefined) {
    const pieces = policy.translate.inbound?.(matches, { mesh: "default", section: given.inbound }) ?? {};
    return plain(fitting(pieces));
  }
  const destination = destinationOf(given);
  const { protocol = "http" } = given;
  if (policy.translate.routes) return plain(policy.translate.routes(matches, destination).map(withoutOrigins));
  if (policy.translate.split) return plain((policy.translate.split(matches, destination) ?? []).map(withoutPolicy));
  const ofRoute = routes.filter(({ name }) => name === given.route);
  return plain(fitting(policy.translate.outbound?.(matches, destination, { protocol, routes: ofRoute }) ?? {}));
}

const parsed = <Spec extends object>(policy: Policy<Spec>, from: Case["policies"]): readonly Resource<Spec>[] =>
  from.flatMap((one) => {
    const resource = one.type === policy.kind ? parsePolicy(policy, written(one.type, one)) : undefined;
    return resource ? [resource] : [];
  });

function destinationOf({ service, meshService }: Case): Destination {
  if (meshService === undefined) return { kind: "service", service: service ?? "", tags: {} };
  return {
    kind: "resource",
    resource: "MeshService",
    name: meshService,
    namespace: "",
    zone: "",
    labels: {},
    section: "http",
  };
}

/** A route's pieces, put together as `proxy/` does, must fit. */
function withoutOrigins({ origins: _, ...rule }: HttpRule): object {
  const { match, piece, action } = rule;
  const isForwarded = !piece.redirect && !piece.directResponse;
  fits(RouteSchema, { match, ...piece, ...(isForwarded && { route: { cluster: "x", ...action } }) });
  return {
    ...rule,
    split: rule.split.map(withoutPolicy),
    mirrors: rule.mirrors.map(({ backend, fraction }) => ({ backend: withoutPolicy(backend), fraction })),
  };
}
const withoutPolicy = (backend: object): object =>
  Object.fromEntries(Object.entries(backend).filter(([name]) => name !== "from"));

function fitting(pieces: Pieces): Pieces {
  const { http = {}, ...cluster } = pieces.cluster ?? {};
  fits(ClusterSchema, cluster);
  fits(HttpProtocolOptionsSchema, http);
  fits(RouteActionSchema, pieces.route ?? {});
  fits(HttpConnectionManagerSchema, pieces.connection ?? {});
  fits(TcpProxySchema, pieces.tcp ?? {});
  fits(RBACSchema, pieces.permissions ?? {});
  return pieces;
}

const fits = (schema: DescMessage, json: object): void => void fromJson(schema, plainProto(json), { registry });
const plainProto = (json: object): ProtoJson => JSON.parse(JSON.stringify(json));
const plain = (json: object): JsonValue => JSON.parse(JSON.stringify(json, withoutEmpty));
/** What is empty says nothing. */
const withoutEmpty = (name: string, value: unknown): unknown =>
  name !== "" && Number.isNaN(Number(name)) && name !== "rules" && isEmpty(value) ? undefined : value;
const isEmpty = (value: unknown): boolean =>
  Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;

/** Members of `after` that are not so in `before`. */
function changed(before: JsonValue, after: JsonValue): JsonValue {
  if (!isObject(before) || !isObject(after)) return after;
  const members = Object.entries(after).flatMap(([name, value]) =>
    value === undefined || isEqual(before[name], value) ? [] : [[name, changed(before[name] ?? null, value)] as const],
  );
  return Object.fromEntries(members);
}
