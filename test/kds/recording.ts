// The recorded exchanges of test/recorded/kds: a stock global and two stock zones.

import { readdirSync, readFileSync } from "node:fs";
import { fromBinary, fromJson, type JsonValue } from "@bufbuild/protobuf";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { decodeResource } from "#kds/codec.ts";
import { kindNamed } from "#resources/kinds.ts";
import { type Labels, label, type Resource } from "#resources/resource.ts";

export interface Line {
  readonly zone: string;
  readonly stream: "GlobalToZoneSync" | "ZoneToGlobalSync";
  readonly message:
    | { readonly kind: "request"; readonly request: DeltaDiscoveryRequest }
    | { readonly kind: "response"; readonly response: DeltaDiscoveryResponse; readonly bytes: Uint8Array };
}
export interface Step {
  readonly name: string;
  readonly lines: readonly Line[];
}

const folder = new URL("../recorded/kds/", import.meta.url);

export const steps: readonly Step[] = readdirSync(folder)
  .filter((file) => file.endsWith(".jsonl"))
  .sort()
  .map((file) => ({
    name: file.replace(".jsonl", ""),
    lines: readFileSync(new URL(file, folder), "utf8").trim().split("\n").map(lineOf),
  }));

function lineOf(text: string): Line {
  const { zone, stream, request, response } = JSON.parse(text) as {
    zone: string;
    stream: Line["stream"];
    request?: JsonValue;
    response?: string;
  };
  if (request !== undefined) {
    return { zone, stream, message: { kind: "request", request: fromJson(DeltaDiscoveryRequestSchema, request) } };
  }
  const bytes = Buffer.from(response!, "base64");
  return {
    zone,
    stream,
    message: { kind: "response", response: fromBinary(DeltaDiscoveryResponseSchema, bytes), bytes },
  };
}

export const resourcesIn = (response: DeltaDiscoveryResponse): readonly Resource[] =>
  response.resources.map(({ resource }) => decodeResource(kindNamed(response.typeUrl), resource!.value).resource);

/** What one end has been told of a kind by the other, by name on the wire. */
export class Told {
  readonly #kinds = new Map<string, Map<string, Resource>>();

  take(response: DeltaDiscoveryResponse): void {
    const { typeUrl, resources, removedResources } = response;
    const told = this.#kinds.get(typeUrl) ?? new Map<string, Resource>();
    this.#kinds.set(typeUrl, told);
    for (const name of removedResources) told.delete(name);
    const read = resourcesIn(response);
    for (const [i, { name }] of resources.entries()) told.set(name, read[i]!);
  }

  of(kind: string): ReadonlyMap<string, Resource> {
    return this.#kinds.get(kind) ?? new Map();
  }

  /** Comparable: by kind and name, what each says. */
  get all(): Readonly<Record<string, unknown>> {
    const kinds = [...this.#kinds].sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(
      kinds.map(([kind, told]) => [
        kind,
        Object.fromEntries(
          [...told]
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([name, { labels, spec, status }]) => [name, { labels, spec, status }]),
        ),
      ]),
    );
  }
}

/** The resource where it was made, before it was hashed and labelled on its way. */
export function original(resource: Resource): Resource {
  const { [label.displayName]: displayName, ...labels } = resource.labels;
  const name = displayName ?? resource.name;
  // Of the keys for zone tokens the recording has only what global made of them.
  if (resource.kind === "GlobalSecret") return resource;
  if (labels[label.origin] === "zone") return { ...resource, name, labels };
  const { [label.origin]: _, ...own }: Labels = labels;
  return { ...resource, name, labels: own };
}

export const stockFeatures = [
  "zone-token",
  "hash-suffix",
  "hg-mz-selector",
  "producer-policy-flow",
  "optional-top-level-target-ref",
];
