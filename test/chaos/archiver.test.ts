/**
 * The archiver dies between the steps of its commits, and its disk is full. Goal: afterwards the lake holds exactly the truth
 * and is sound. `bun run chaos --archiver --kills N` for more.
 */
import { expect, test } from "bun:test";
import { runArchiverChaos } from "./archiver.ts";

test("in a folder: five deaths and a full disk leave no trace", async () => {
  const result = await runArchiverChaos({ seed: 3, kills: 5, lake: "folder", say: () => undefined });
  expect(result).toMatchObject({ differences: [], findings: [], diskFull: true });
  expect(Object.values(result.steps).reduce((sum, n) => sum + n, 0)).toBe(5);
}, 600_000);
