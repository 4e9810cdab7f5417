/**
 * `bun run bench` lists the benchmarks, `bun run bench NAME` runs one, `--json` makes the last line of stdout its rows as a
 * JSON array. A benchmark is a folder with an `index.ts` that exports `run(): Promise<BenchRow[]>`.
 */
import { existsSync, readdirSync } from "node:fs";
import { describe, Fatal } from "../pipeline/errors.ts";
import type { BenchRow } from "./harness.ts";

const HERE = new URL("./", import.meta.url);

function names(): string[] {
  return readdirSync(HERE, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(new URL(`${entry.name}/index.ts`, HERE)))
    .map((entry) => entry.name)
    .sort();
}

async function run(name: string): Promise<BenchRow[]> {
  if (!names().includes(name)) {
    throw new Fatal("BENCH_NAME", `there is no benchmark ${name}`, { hint: `There are: ${names().join(", ")}.` });
  }
  const module = (await import(new URL(`${name}/index.ts`, HERE).href)) as { run(): Promise<BenchRow[]> };
  return module.run();
}

function table(rows: readonly BenchRow[]): string {
  const lines = rows.map((row) => [
    row.name,
    row.peer,
    `${row.ours} ${row.unit}`,
    `${row.theirs} ${row.unit}`,
    `${row.ratio_median} (${row.ratio_min} to ${row.ratio_max})`,
    `${row.peak_rss_mb} MiB`,
  ]);
  const all = [["benchmark", "peer", "ours", "theirs", "ratio, median (min to max)", "our peak memory"], ...lines];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  return all
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

const [name, ...flags] = process.argv.slice(2);
if (name === undefined) console.log(names().join("\n"));
else {
  try {
    const rows = await run(name);
    console.log(table(rows));
    if (flags.includes("--json")) console.log(JSON.stringify(rows));
  } catch (error) {
    console.error(describe(error));
    process.exitCode = 1;
  }
}
