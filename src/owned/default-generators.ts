// The HostnameGenerators that come with a control plane (interop 8.2.1), so that services have names before anyone writes one.

import type { JsonObject } from "#lib/json.ts";
import type { Place } from "#resources/labels.ts";
import { type Labels, label, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

const headless = "k8s.kuma.io/is-headless-service";
const fromGlobal = { [label.origin]: "global" };
const fromZone = { [label.origin]: "zone" };
const onKubernetes = (isHeadless: boolean): Labels => ({
  ...{ ...fromGlobal, [headless]: String(isHeadless), [label.env]: "kubernetes" },
});

type Selected = "meshService" | "meshExternalService" | "meshMultiZoneService";
type Generator = readonly [name: string, kind: Selected, labels: Labels, template: string];

/** What reaches a zone from global has the origin `global` there, whoever made it. */
const onGlobal: readonly Generator[] = [
  ["synced-mesh-multi-zone-service", "meshMultiZoneService", fromGlobal, "{{ .DisplayName }}.mzsvc.mesh.local"],
  [
    ...(["synced-kube-mesh-service", "meshService", onKubernetes(false)] as const),
    "{{ .DisplayName }}.{{ .Namespace }}.svc.{{ .Zone }}.mesh.local",
  ],
  [
    ...(["synced-headless-kube-mesh-service", "meshService", onKubernetes(true)] as const),
    '{{ label "statefulset.kubernetes.io/pod-name" }}.{{ label "k8s.kuma.io/service-name" }}.{{ .Namespace }}.svc.{{ .Zone }}.mesh.local',
  ],
  [
    ...(["synced-universal-mesh-service", "meshService", { ...fromGlobal, [label.env]: "universal" }] as const),
    "{{ .DisplayName }}.svc.{{ .Zone }}.mesh.local",
  ],
  ["synced-mesh-external-service", "meshExternalService", fromGlobal, "{{ .DisplayName }}.extsvc.mesh.local"],
];
const inZone: readonly Generator[] = [
  ["local-mesh-external-service", "meshExternalService", fromZone, "{{ .DisplayName }}.extsvc.mesh.local"],
  ["local-universal-mesh-service", "meshService", fromZone, "{{ .DisplayName }}.svc.mesh.local"],
];

export const defaultGenerators = (place: Place): readonly Resource[] =>
  (place.kind === "global" ? onGlobal : inZone).map(([name, kind, matchLabels, template]) => ({
    ...{ kind: "HostnameGenerator", mesh: "", name },
    labels: place.kind === "zone" ? fromZone : {},
    spec: { selector: { [kind]: { matchLabels } }, template } as JsonObject,
    ...{ creationTime: zeroTime, modificationTime: zeroTime },
  }));
