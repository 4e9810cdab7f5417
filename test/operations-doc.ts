/**
 * The parts of OPERATIONS.md that are made from the program: the tables of settings and of metrics, between their marks. Run
 * as a program (`bun run docs`), it brings them up to date; a test holds that they are.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KNOBS, SECTIONS } from "../pipeline/config.ts";
import type { Knob } from "../pipeline/config-knob.ts";
import { exportedMetrics } from "./exported-metrics.ts";

const FILE = join(import.meta.dir, "..", "OPERATIONS.md");

/** The page as it should be. Throws when a mark is missing. */
export async function operationsPage(page: string): Promise<string> {
  return between(between(page, "settings", settingsTable()), "metrics", await metricsTable());
}

function between(page: string, part: string, content: string): string {
  const [from, to] = [`<!-- ${part}: made by \`bun run docs\` -->`, `<!-- end of ${part} -->`];
  const [start, end] = [page.indexOf(from), page.indexOf(to)];
  if (start < 0 || end < start) throw new Error(`OPERATIONS.md has no marks for ${part}`);
  return `${page.slice(0, start + from.length)}\n\n${content}\n\n${page.slice(end)}`;
}

function settingsTable(): string {
  const rows = Object.entries(KNOBS as Record<string, Knob>).map(([name, knob]) => [
    `\`${name}\``,
    defaultOf(knob),
    (knob.env ?? []).map((variable) => `\`${variable}\``).join(", "),
    `${knob.why}${rangeOf(knob)}${knob.secret === true ? " A secret." : ""}`,
  ]);
  const sections = Object.entries(SECTIONS).map(([name, { why }]) => [`\`${name}\``, "none", "", why]);
  return table(["setting", "default", "environment", "what for"], [...rows, ...sections]);
}

function defaultOf(knob: Knob): string {
  if (Array.isArray(knob.default) || knob.default === "") return "";
  const value = Number(knob.default);
  const readable = knob.unit === "bytes" && value >= 1024 ? ` (${bytes(value)})` : "";
  return `\`${String(knob.default)}\`${readable}`;
}

function rangeOf({ kind, unit, min, max, choices }: Knob): string {
  if (kind === "choice") return ` One of ${choices!.map((choice) => `\`${choice}\``).join(", ")}.`;
  if (kind !== "integer") return "";
  const of = (value: number) => (unit === "bytes" && value >= 1024 ? bytes(value) : value.toLocaleString("en"));
  return ` From ${of(min!)} to ${of(max!)}${unit === "bytes" ? "" : ` ${unit}`}.`;
}

function bytes(value: number): string {
  const units = ["KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(Math.floor(Math.log2(value) / 10), units.length);
  return power === 0 ? `${value} bytes` : `${Number((value / 1024 ** power).toFixed(1))} ${units[power - 1]}`;
}

async function metricsTable(): Promise<string> {
  const { metrics } = await exportedMetrics();
  const rows = [...metrics]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, type, help, labels }) => [`\`${name}\``, type, labels.join(", "), help]);
  return table(["metric", "type", "labels", "meaning"], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("<", "&lt;")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}

if (import.meta.main) writeFileSync(FILE, await operationsPage(readFileSync(FILE, "utf8")));
