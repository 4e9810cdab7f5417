#!/usr/bin/env bun
/** Reruns seeds of the simulation: `bun test/sim/main.ts --seed 7` with a trace, `--seeds 0..999` in short. */
import { parseArgs } from "node:util";
import type { Bug } from "./outputs.ts";
import { commandOf, type Report, simulate } from "./simulation.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    bug: { type: "string" },
    strength: { type: "string" },
  },
});
const settings = { bug: (values.bug ?? null) as Bug | null, strength: Number(values.strength ?? 1) };

function summary(report: Report): string {
  const faults = [...report.faults].map(([kind, count]) => `${kind} ${count}`).join(", ");
  const { seed, forks, takeovers, fenced, replays, blocks, healedInMs } = report;
  return `seed ${seed}: ${report.problems[0] ?? "ok"} | healed in ${healedInMs} ms, forks ${forks}, takeovers ${takeovers}, fenced ${fenced}, replays ${replays}, blocks ${blocks} | ${faults}`;
}

if (values.seed !== undefined) {
  const report = await simulate({ seed: Number(values.seed), ...settings, onTrace: (text) => console.log(text) });
  console.log(summary(report), report.traceHash);
  process.exit(report.problems.length === 0 ? 0 : 1);
}
const [from, to] = (values.seeds ?? "0..99").split("..").map(Number) as [number, number];
let failed = 0;
const began = performance.now();
for (let seed = from; seed <= to; seed++) {
  const report = await simulate({ seed, ...settings });
  if (report.problems.length > 0) {
    failed++;
    console.log(summary(report));
    console.log(`  ${commandOf(report)}`);
  }
}
console.log(`${to - from + 1} seeds, ${failed} failed, ${Math.round(performance.now() - began)} ms`);
process.exit(failed === 0 ? 0 : 1);
