// What `run global` and `run zone` have in common: where they keep their state, where they listen, how they end.

import { homedir } from "node:os";
import { join } from "node:path";
import { aborted, stopSignals } from "#agent/stop-signals.ts";
import { textOf } from "#cli/trust.ts";
import { Usage } from "#cli/verb.ts";
import { type AuditLog, openAuditLog } from "#host/audit-log.ts";
import { isLogLevel, type Log, type LogLevels, logLevels, type OpenedLog, openLogs } from "#host/log.ts";
import { type Metrics, openMetrics } from "#host/metrics.ts";
import { processMetrics } from "#host/process-metrics.ts";
import { realWorld } from "#host/real-world.ts";
import { type Schema, type Settings, shownSettings } from "#host/settings.ts";
import { countedNetwork, trafficMetrics } from "#host/traffic.ts";
import type { World } from "#host/world.ts";
import { fingerprintOf } from "#identity/pem.ts";
import { loadOrCreateServerCertificate, serverNames, writeWhole } from "#identity/server-certificate.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Store } from "#resources/store.ts";
import { parseStoreKeys, type StoreKeys } from "#store/keys.ts";
import { memoryStore } from "#store/memory.ts";
import { sealedSince } from "#store/schema.ts";
import { sqliteStore } from "#store/sqlite.ts";

const port = { type: "integer", min: 0, max: 65535 } as const;

export const logSettings = {
  logLevel: { type: "string", help: "least important messages that are logged", choices: logLevels, default: "info" },
  logFormat: {
    type: "string",
    help: "form of the log: for programs or for people (default: text on a terminal, else json)",
    choices: ["json", "text"],
  },
} as const satisfies Schema;

/** The log of a component that stays. */
export function openLogOf({ logLevel, logFormat }: Settings<typeof logSettings>): OpenedLog {
  if (!isLogLevel(logLevel)) throw new Error(`settings let the level ${logLevel} pass`);
  const isText = logFormat === undefined ? process.stdout.isTTY : logFormat === "text";
  const opened = openLogs(logLevel, isText ? "text" : "json");
  // As Node tells it, the line of the source comes first: of a bundled program that is half a megabyte, and no line of a log.
  process.once("uncaughtException", (error: unknown) => {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    opened.log.error({ reason }, "ends for an error that nothing has caught: this is a bug");
    process.exit(1);
  });
  return opened;
}

export const controlPlaneSettings = {
  store: {
    type: "string",
    help: "where resources are kept: in a file of --data, or in memory only",
    choices: ["sqlite", "memory"],
    default: "sqlite",
  },
  data: {
    type: "string",
    value: "folder",
    help: "folder of the store, the certificate and the audit log (default: ~/.kodiak/<name>)",
  },
  storeKeyFile: {
    type: "file",
    help: "keys that encrypt the store, each a line `<id> <base64 of 32 bytes>`: the first encrypts, all decrypt (default: store-keys in --data, made at the first start)",
  },
  storeKeys: {
    type: "string",
    value: "lines",
    help: "what would be in --store-key-file; rather as the variable than as the flag",
    secret: true,
  },
  address: { type: "string", help: "address to listen on, for all TLS ports", default: "0.0.0.0" },
  dpPort: { ...port, help: "port for data plane proxies", default: 5678 },
  apiPort: { ...port, help: "port of the HTTP API on 127.0.0.1, for local administrators", default: 5681 },
  localAdmin: {
    type: "boolean",
    value: "true|false",
    help: "whether processes of this machine are administrators without a token",
    default: true,
  },
  apiHttpsPort: { ...port, help: "port of the HTTP API over TLS, for users with a token", default: 5682 },
  tlsCertFile: { type: "file", help: "PEM certificate for all TLS ports, instead of one made at the first start" },
  tlsKeyFile: { type: "file", help: "PEM private key of --tls-cert-file" },
  auditSizeMb: {
    type: "integer",
    min: 1,
    max: 4096,
    help: "size in MiB at which an audit log in --data makes way for a new one",
    default: 64,
  },
  auditFiles: {
    type: "integer",
    min: 1,
    max: 1000,
    help: "how many old audit logs are kept of each kind",
    default: 10,
  },
  diagnosticsPort: {
    ...port,
    help: "port of /healthy, /ready, /metrics and /logging: plain HTTP on --address",
    default: 5680,
  },
  ...logSettings,
} as const satisfies Schema;

type Values = Settings<typeof controlPlaneSettings>;

export interface Base {
  readonly world: World;
  readonly log: Log;
  readonly store: Store;
  readonly certificate: { readonly certificate: string; readonly privateKey: string };
  readonly audit: AuditLog;
  readonly hasLocalAdmin: boolean;
  readonly keepAdminToken: (token: string) => Promise<void>;
  readonly shown: Readonly<Record<string, unknown>>;
  readonly diagnostics: { readonly port: number; readonly metrics: Metrics; readonly levels: LogLevels };
}

/** The world, the store and the certificate, as the settings say. */
export async function openBase(name: string, schema: Schema, values: Values): Promise<Base> {
  const { log, levels } = openLogOf(values);
  const machine = realWorld({ log: log.child({ component: "network" }) });
  const network = countedNetwork(machine.network);
  const world = { ...machine, network, log };
  const metrics = openMetrics();
  processMetrics(metrics);
  trafficMetrics(metrics, network);
  const folder = values.data ?? join(homedir(), ".kodiak", name);
  const keys = storeKeysOf(values);
  const certificate = await certificateOf(values, folder, world, log);
  const store =
    values.store === "memory"
      ? memoryStore(world.clock, world.random)
      : sqliteStore(folder, world.clock, world.random, {
          ...keys,
          onMigrated: ({ from, to, copy }) =>
            log.info(
              { from, to, copy },
              `the store was of an older version and is now of this one; copy is as it was${from < sealedSince ? ", not encrypted: remove it when you will not go back" : ""}`,
            ),
          onSealedAgain: (rows, key) => log.info({ rows, key }, "the store is now encrypted with its first key alone"),
          onCommit: metrics.durations("kodiak_store_commit_seconds", "Time until a commit was on the disk"),
        });
  const audit = await openAuditLog({
    folder,
    maxBytes: values.auditSizeMb * 1024 * 1024,
    keep: values.auditFiles,
    clock: world.clock,
    log: log.child({ component: "api" }),
  });
  const keepAdminToken = async (token: string): Promise<void> => {
    const file = join(folder, "admin-user-token");
    await writeWhole(file, `${token}\n`);
    log.info({ file }, "the administrator's first user token is in a file, for --token-file");
  };
  const hasLocalAdmin = values.localAdmin;
  const diagnostics = { port: values.diagnosticsPort, metrics, levels };
  return {
    world,
    log,
    store,
    certificate,
    audit,
    hasLocalAdmin,
    keepAdminToken,
    diagnostics,
    shown: shownSettings(schema, values),
  };
}

function storeKeysOf({ storeKeyFile, storeKeys }: Values): { readonly keys?: StoreKeys } {
  if (storeKeyFile !== undefined && storeKeys !== undefined)
    throw new Usage("give one of --store-key-file and --store-keys (the variable KODIAK_STORE_KEYS), not both");
  const text = storeKeyFile === undefined ? storeKeys : textOf(storeKeyFile, "--store-key-file");
  if (text === undefined) return {};
  try {
    return {
      keys: parseStoreKeys(text, storeKeyFile === undefined ? "--store-keys" : `--store-key-file ${storeKeyFile}`),
    };
  } catch (error) {
    if (error instanceof KodiakError) throw new Usage(error.message, { cause: error });
    throw error;
  }
}

async function certificateOf(values: Values, folder: string, { clock }: World, log: Log) {
  const { tlsCertFile, tlsKeyFile, address } = values;
  if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined))
    throw new Usage("give both of --tls-cert-file and --tls-key-file, or none");
  if (tlsCertFile !== undefined && tlsKeyFile !== undefined)
    return { certificate: textOf(tlsCertFile, "--tls-cert-file"), privateKey: textOf(tlsKeyFile, "--tls-key-file") };
  const own = await loadOrCreateServerCertificate(folder, serverNames([address]), clock.now());
  if (own.missingNames.length > 0)
    log.warn(
      { names: own.missingNames, file: own.certificateFile },
      "the certificate lacks names of this machine; clients that connect by them refuse it",
    );
  return own;
}

/** Says that it is ready, with what others need to come here; ends in good order at the first signal. */
export async function runUntilStopped(
  what: string,
  { log, certificate }: Base,
  running: Readonly<Record<string, unknown>> & { close(): Promise<void> },
): Promise<number> {
  const { close, ...ports } = running;
  log.info({ ...ports, fingerprint: fingerprintOf(certificate.certificate) }, `${what} control plane is ready`);
  const { leave, now } = stopSignals();
  await aborted(leave);
  log.info({}, "shutting down");
  await Promise.race([close(), aborted(now)]);
  return now.aborted ? 1 : 0;
}
