// The agent as a program of its own, for tests that send it signals: options as JSON in its argument, logs on stdout.

import { type ProxyOptions, runProxy } from "#agent/run-proxy.ts";
import { stopSignals } from "#agent/stop-signals.ts";
import { openLog } from "#host/log.ts";

const options: ProxyOptions = JSON.parse(process.argv[2] ?? "");
process.exitCode = await runProxy(options, openLog("info"), stopSignals());
