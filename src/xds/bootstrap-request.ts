// What a proxy sends to POST /bootstrap (interop 6.2), read once and trusted afterwards. Go writes empty lists and maps as null,
// and may leave members out: both come in as the zero values here.

import type { JsonObject } from "@bufbuild/protobuf";
import { z } from "zod";
import { isObject, parseJson } from "#lib/json.ts";

export type ProxyType = "dataplane" | "ingress" | "egress";

const or = <Value>(schema: z.ZodType<Value>, absent: Value) => schema.nullish().transform((value) => value ?? absent);
const optional = <Value>(schema: z.ZodType<Value>) => schema.nullish().transform((value) => value ?? undefined);

const text = or(z.string(), "");
const flag = or(z.boolean(), false);
const port = or(z.int().min(0).max(65535), 0);
// One issue, however many members are wrong.
const json = z.custom<JsonObject>(isObject, "must be an object");
const isText = (value: unknown): boolean => typeof value === "string";
const texts = z.custom<string[]>((value) => Array.isArray(value) && value.every(isText), "must be a list of texts");
const namedTexts = z.custom<Record<string, string>>(
  (value) => isObject(value) && Object.values(value).every(isText),
  "must be an object of texts",
);

const redirect = or(z.object({ enabled: flag, port }), { enabled: false, port: 0 });
const transparentProxy = z.object({
  // Any letter case; empty is the default.
  ipFamilyMode: text.transform((mode) => mode.toLowerCase() || "dualstack").pipe(z.enum(["dualstack", "ipv4"])),
  redirect: z.object({
    inbound: redirect,
    outbound: redirect,
    dns: redirect,
    vnet: or(z.object({ networks: or(texts, []) }), { networks: [] }),
  }),
});

const schema = z.object({
  mesh: text,
  name: text,
  /** Any text: an unknown type is refused with a status of its own. */
  proxyType: text.transform((type) => type || "dataplane"),
  dataplaneToken: text,
  dataplaneTokenPath: text,
  dataplaneResource: text,
  version: or(json, {}),
  caCert: text,
  dynamicMetadata: or(namedTexts, {}),
  otelEnv: optional(json),
  dnsPort: port,
  readinessPort: port,
  appProbeProxyDisabled: flag,
  features: or(texts, []),
  workdir: text,
  metricsResources: or(z.object({ certPath: text, keyPath: text }), { certPath: "", keyPath: "" }),
  systemCaPath: text,
  dataplaneConfig: optional(transparentProxy),
  ipv6Enabled: flag,
  spireResources: or(z.object({ socketPath: text }), { socketPath: "" }),
});

export type BootstrapRequest = Readonly<z.infer<typeof schema>>;

export type ParsedRequest =
  | { readonly kind: "request"; readonly request: BootstrapRequest }
  | { readonly kind: "unreadable"; readonly why: string };

export function parseBootstrapRequest(body: Uint8Array): ParsedRequest {
  let value: unknown;
  try {
    value = parseJson(new TextDecoder().decode(body));
  } catch {
    return { kind: "unreadable", why: "the body must be JSON" };
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return { kind: "request", request: parsed.data };
  const issues = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  return { kind: "unreadable", why: issues.join("; ") };
}
