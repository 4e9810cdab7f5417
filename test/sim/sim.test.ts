/**
 * The pipeline in a storm. Goal: whatever breaks, no output ever holds a block it should not, and once things stop breaking
 * every output holds the valid chain exactly. Method: seeded simulations of the real runner, readers, stream sinks,
 * janitor, leases and supervisor on a virtual clock; planted bugs prove that the simulation would see them.
 * A failing seed prints the command that tells its story.
 */
import { describe, expect, test } from "bun:test";
import { FAULTS, type FaultKind } from "./faults.ts";
import type { Bug } from "./outputs.ts";
import { FOUND } from "./seeds.ts";
import { commandOf, type Report, simulate } from "./simulation.ts";

const SEEDS = 100;
/** For a machine that does other things as well. */
const TIMEOUT_MS = 300_000;

function mustBeRight(report: Report): void {
  const [first] = report.problems;
  if (first !== undefined) throw new Error(`${first}\n\n  ${commandOf(report)}\n`);
}

describe("storms", () => {
  const reports: Report[] = [];

  for (let first = 0; first < SEEDS; first += 10) {
    test(
      `seeds ${first} to ${first + 9} end as the chain says`,
      async () => {
        for (let seed = first; seed < first + 10; seed++) {
          const report = await simulate({ seed });
          reports.push(report);
          mustBeRight(report);
        }
      },
      TIMEOUT_MS,
    );
  }

  for (const { seed, strength, what } of FOUND.filter((f) => f.seed >= SEEDS || f.strength !== 1)) {
    test(
      `seed ${seed}, which found that ${what}`,
      async () => mustBeRight(await simulate({ seed, strength })),
      TIMEOUT_MS,
    );
  }

  test("every kind of fault really happened, and had its consequences", () => {
    const sum = (count: (report: Report) => number) => reports.reduce((total, report) => total + count(report), 0);
    const never = (Object.keys(FAULTS) as FaultKind[]).filter((kind) => sum((r) => r.faults.get(kind) ?? 0) === 0);
    expect(never).toEqual([]);
    for (const count of [sum((r) => r.forks), sum((r) => r.takeovers), sum((r) => r.fenced), sum((r) => r.replays)]) {
      expect(count).toBeGreaterThan(SEEDS / 10);
    }
  });
});

test(
  "one seed, one story",
  async () => {
    const hashes = [];
    for (const seed of [3, 3, 4]) hashes.push((await simulate({ seed })).traceHash);
    expect(hashes[1]!).toBe(hashes[0]!);
    expect(hashes[2]!).not.toBe(hashes[0]!);
  },
  TIMEOUT_MS,
);

describe("planted bugs are found", () => {
  const bugs: readonly Bug[] = [
    "position before data",
    "undo dropped",
    "reader trusts a wrong hint",
    "trimmed beyond the archive",
    "no compare-and-set",
  ];
  test.each(bugs)(
    "%s",
    async (bug) => {
      for (let seed = 0; seed < 30; seed++) {
        if ((await simulate({ seed, bug })).problems.length > 0) return;
      }
      throw new Error("30 seeds have not noticed it");
    },
    TIMEOUT_MS,
  );
});
