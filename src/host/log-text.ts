// A line of the log for people: `2026-11-24T12:00:00.000Z INFO  connected to global  global=127.0.0.1:5685`.

/** From the same line as JSON. Texts stay on their line; only the stack of an error has lines of its own. */
export function textLine(json: string): string {
  const { level, time, msg, err, ...fields }: Readonly<Record<string, unknown>> = JSON.parse(json);
  const { message, stack } = errorOf(err);
  const shown = Object.entries({ ...fields, ...(message !== undefined && { err: message }) });
  const words = shown.map(([name, value]) => `${name}=${wordOf(value)}`).join(" ");
  const head = `${time} ${(levelNames.get(Number(level)) ?? String(level)).padEnd(5)} ${msg}`;
  return `${head}${words === "" ? "" : `  ${words}`}\n${stack === undefined ? "" : `${stack.replace(/^/gm, "    ")}\n`}`;
}

/** pino's numbers. */
const levelNames: ReadonlyMap<number, string> = new Map([
  [20, "DEBUG"],
  [30, "INFO"],
  [40, "WARN"],
  [50, "ERROR"],
]);

/** Quoted where it could be taken for something else. */
function wordOf(value: unknown): string {
  const isPlain = typeof value === "string" && /^[^\s"=\p{C}]+$/u.test(value);
  return isPlain ? value : JSON.stringify(value);
}

function errorOf(err: unknown): { readonly message?: string; readonly stack?: string } {
  if (typeof err !== "object" || err === null) return {};
  const { message, stack }: { message?: unknown; stack?: unknown } = err;
  return {
    ...(typeof message === "string" && { message }),
    ...(typeof stack === "string" && { stack }),
  };
}
