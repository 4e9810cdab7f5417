/**
 * The archiver dies between the steps of its commits, while its bucket fails a fifth of all requests. Goal: afterwards the
 * lake holds exactly the truth and is sound. `bun run chaos --archiver --kills N` for more.
 */
import { expect, test } from "bun:test";
import { runArchiverChaos } from "./archiver.ts";

test("in a bucket where a fifth of all requests fails: five deaths leave no trace", async () => {
  const result = await runArchiverChaos({ seed: 4, kills: 5, lake: "bucket", say: () => undefined });
  expect(result).toMatchObject({ differences: [], findings: [] });
  expect(Object.values(result.steps).reduce((sum, n) => sum + n, 0)).toBe(5);
  expect(result.faults).toBeGreaterThan(20);
}, 600_000);
