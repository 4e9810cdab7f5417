/**
 * `sluice compact` and `sluice collect` as commands. Goal: they do on a real lake what they say, in text and JSON, and dry
 * runs change nothing. Method: a small lake of two days, the command line run as users run it.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { LakeFolder, MIDNIGHT, rollOf, stepOf, testBlock } from "../storage/lake/lake-fixture.ts";

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
  const sink = await lake.open();
  let prev = null;
  for (const [slot, day] of [
    [10, 0],
    [11, 0],
    [12, 0],
    [13, 1],
  ] as const) {
    const block = testBlock(slot, MIDNIGHT + day * 86_400 + slot);
    await sink.commit(stepOf(prev, block), rollOf([block]));
    prev = block;
  }
  await sink.close();
});
afterEach(() => lake.dispose());

function sluice(...args: string[]): { code: number; stdout: string; stderr: string } {
  const flags = ["--data", join(lake.root, "data"), "--set", `lake.dir=${join(lake.root, "lake")}`];
  // Those of a test come last, so that they count.
  const command = [process.execPath, join(import.meta.dir, "..", "main.ts"), ...flags, ...args];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  return { code: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

test("compact: a dry run, then the real one, then nothing is left; the lake is sound", async () => {
  const before = await lake.store.list("");
  const dry = sluice("compact", "--dry-run", "--json");
  expect(JSON.parse(dry.stdout)).toMatchObject({
    dryRun: true,
    runs: [{ dataset: "trades", filesBefore: 3, filesAfter: 1 }],
  });
  expect(await lake.store.list("")).toEqual(before);
  expect(sluice("compact").stdout).toContain("1 run merged");
  expect(sluice("compact").stdout).toBe("nothing to merge\n");
  expect(sluice("verify", "--deep", "--since", "2023-11-15").code).toBe(0);
}, 300_000);

test("collect: leaves alone what is younger than asked; a wrong option is said", async () => {
  sluice("compact");
  expect(sluice("collect").stdout).toBe("0 files, 0 bytes removed\n");
  const wrong = sluice("collect", "--older-than-hours", "0");
  expect(wrong.code).not.toBe(0);
  expect(wrong.stderr).toContain("--older-than-hours");
}, 300_000);

test("a folder without a lake is named, and not made", async () => {
  for (const command of ["compact", "collect", "catalogue"]) {
    const { code, stderr } = sluice(command, "--set", `lake.dir=${join(lake.root, "slip")}`);
    expect([command, code, stderr.includes("LAKE_MISSING")]).toEqual([command, 1, true]);
  }
  expect(await Bun.file(join(lake.root, "slip")).exists()).toBe(false);
}, 300_000);
