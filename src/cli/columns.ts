// The columns of `kodiak get`, by kind.

import { ageOf } from "#cli/print.ts";
import { coloured, type Terminal } from "#cli/terminal.ts";
import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import { presenceIn } from "#owned/online.ts";
import type { Kind } from "#resources/kind.ts";
import { label, tag } from "#resources/resource.ts";

export interface Column {
  readonly head: string;
  readonly show: (item: JsonObject) => string;
}

/** Kinds whose table is made from `…/_overview`. */
export const shownByOverview: ReadonlySet<string> = new Set(["Dataplane", "ZoneIngress", "ZoneEgress", "Zone"]);

export function columnsOf(kind: Kind, terminal: Terminal): readonly Column[] {
  const age: Column = { head: "AGE", show: (item) => ageOf(String(item.creationTime), terminal.now()) };
  const status = (insight: string): Column => ({ head: "STATUS", show: (item) => presence(item[insight], terminal) });
  switch (kind.name) {
    case "Dataplane":
      return [mesh, name, zone, services, status("dataplaneInsight")];
    case "ZoneIngress":
      return [name, zone, address("zoneIngress"), status("zoneIngressInsight")];
    case "ZoneEgress":
      return [name, zone, address("zoneEgress"), status("zoneEgressInsight")];
    case "Zone":
      return [name, status("zoneInsight")];
    case "Mesh":
      return [name, mtls, age];
  }
  return kind.scope === "Mesh" ? [mesh, name, zone, age] : [name, zone, age];
}

const at = (value: JsonValue | undefined, ...path: readonly string[]): JsonValue | undefined =>
  path.reduce<JsonValue | undefined>((inner, step) => (isObject(inner) ? inner[step] : undefined), value);
const text = (value: JsonValue | undefined): string => (typeof value === "string" ? value : "");

const mesh: Column = { head: "MESH", show: (item) => text(item.mesh) };
const name: Column = { head: "NAME", show: (item) => text(item.name) };
const zone: Column = {
  head: "ZONE",
  show: (item) =>
    text(at(item, "labels", label.zone)) ||
    text(at(item, "zoneIngress", "zone")) ||
    text(at(item, "zoneEgress", "zone")) ||
    "-",
};
const services: Column = {
  head: "SERVICES",
  show: (item) => {
    const inbound = at(item, "dataplane", "networking", "inbound");
    const parts = [...(Array.isArray(inbound) ? inbound : []), at(item, "dataplane", "networking", "gateway")];
    const names = parts.map((part: JsonValue | undefined) => text(at(part, "tags", tag.service))).filter(Boolean);
    return [...new Set(names)].join(",") || "-";
  },
};
const address = (member: string): Column => ({
  head: "ADDRESS",
  show: (item) => {
    const networking = at(item, member, "networking");
    const host = text(at(networking, "advertisedAddress")) || text(at(networking, "address"));
    const port = at(networking, "advertisedPort") ?? at(networking, "port");
    return host === "" ? "-" : `${host}:${String(port)}`;
  },
});
const mtls: Column = {
  head: "MTLS",
  show(item) {
    const issuing = text(at(item, "labels", label.issuingBackend));
    return (text(at(item, "mtls", "enabledBackend")) || "off") + (issuing === "" ? "" : `, ${issuing} issues`);
  },
};

function presence(insight: JsonValue | undefined, terminal: Terminal): string {
  const { isOnline, since } = presenceIn(isObject(insight) ? insight : undefined);
  const what = isOnline ? coloured(terminal, "green", "online") : coloured(terminal, "red", "offline");
  return since === undefined ? `${what}, never connected` : `${what} since ${ageOf(since, terminal.now())}`;
}
