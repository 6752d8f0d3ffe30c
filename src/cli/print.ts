// Values on standard output: YAML, JSON, and tables of plain columns.

import Table from "cli-table3";
import { stringify } from "yaml";

export const yamlOf = (value: unknown): string => stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
/** A list as several documents, which `apply` reads. */
export const yamlDocuments = (values: readonly unknown[]): string => values.map(yamlOf).join("---\n");
export const jsonOf = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;

const border = [
  "top",
  "top-mid",
  "top-left",
  "top-right",
  "bottom",
  "bottom-mid",
  "bottom-left",
  "bottom-right",
] as const;
const inner = ["left", "left-mid", "mid", "mid-mid", "right", "right-mid"] as const;
const noLines = Object.fromEntries([...border, ...inner].map((place) => [place, ""]));

export function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: [...head],
    chars: { ...noLines, middle: "   " },
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  table.push(...rows.map((row) => [...row]));
  const lines = table.toString().split("\n");
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

const units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
] as const;

/** How long ago, roughly: `45s`, `12m`, `3h`, `5d`. */
export function ageOf(time: string, now: number): string {
  const ms = Math.max(0, now - Date.parse(time));
  if (Number.isNaN(ms)) return "unknown";
  const [unit, size] = units.find(([, size]) => ms >= 2 * size) ?? ["s", 1000];
  return `${Math.floor(ms / size)}${unit}`;
}
