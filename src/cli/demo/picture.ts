// The demo as lines of text: what stands and what has fallen, where the requests go, how they fare.

import type { Figures } from "#cli/demo/client.ts";
import { backendsIn } from "#cli/demo/losses.ts";
import type { Part, Stage } from "#cli/demo/stage.ts";

/** How a step or a key went. Absent `holds`: it is under way. */
export interface Outcome {
  readonly holds?: boolean;
  readonly title: string;
  readonly result: string;
}

const titleWidth = 62;

export function outcomeLine({ holds, title, result }: Outcome): string {
  const mark = holds === undefined ? "·" : holds ? "✓" : "✗";
  return `  ${mark} ${title.padEnd(titleWidth)} ${result}`.trimEnd();
}

export function headLine({ parts }: Stage, upSeconds: string): string {
  const all = [...parts.values()];
  const planes = all.filter(({ what }) => what === "global" || what === "zone");
  const envoys = all.filter(({ what, state }) => (what === "ingress" || what === "proxy") && state === "up");
  const named = planes.map(({ name, state }) => (state === "up" ? name : `✗ ${name} ${state}`));
  return `kodiak demo   ${named.join(" · ")} · ${envoys.length} Envoys        up in ${upSeconds} s`;
}

export function meshLines(stage: Stage, { shares }: Figures): readonly string[] {
  const [local, remote] = [backendsIn(stage, "zone-a"), backendsIn(stage, "zone-b")];
  const shown = ({ name, state }: Part): string =>
    state === "up" ? `${name}  ${(shares.get(name) ?? 0).toFixed(0).padStart(2)} %` : `✗ ${name}  ${state}`;
  const ingress = stage.parts.get("ingress-b")?.state;
  const across = ingress === "up" ? "════ mTLS ══════▶ ingress" : `════ mTLS ══ ✗ ingress ${ingress}`;
  const lead = `            └─▶ ${across} `;
  return [
    "  zone-a                          zone-b",
    ...local.map((part, i) => `${i === 0 ? "  frontend ─┬" : "            ├"}─▶ ${shown(part)}`),
    ...remote.map((part, i) => {
      const isLast = i === remote.length - 1;
      if (i === 0) return `${lead}${isLast ? "──" : "─┬"}─▶ ${shown(part)}`;
      return `${" ".repeat(lead.length)} ${isLast ? "└" : "├"}─▶ ${shown(part)}`;
    }),
  ];
}

export function figuresLine({ perSecond, failed, sent, denied, p50Ms, p99Ms }: Figures): string {
  const count = (n: number): string => n.toLocaleString("en");
  const refused = denied > 0 ? `   denied ${count(denied)}` : "";
  const times = `p50 ${p50Ms.toFixed(1)} ms  p99 ${p99Ms.toFixed(1)} ms`;
  return `  ${perSecond.toFixed(0)} req/s   failed ${count(failed)} of ${count(sent)}${refused}   ${times}`;
}
