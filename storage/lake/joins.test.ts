/**
 * Compaction across segments of history. Goal: their small files become one, and neither rows, order nor coverage change,
 * whatever is killed; what is not complete, not next to it, of another day or large enough is left alone. Method: small
 * lakes of segments, read before and after, and verified deeply.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { type CompactionOptions, compactLake } from "./compaction.ts";
import { dropRows } from "./drop-rows.ts";
import type { Lineage } from "./entry.ts";
import { killedAfter, LakeFolder, LIVE, rowsIn } from "./lake-fixture.ts";
import { Manifest } from "./manifest.ts";
import { LakeReader } from "./reader.ts";
import { verifyLake } from "./verify.ts";

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
});
afterEach(() => lake.dispose());

const DAY = 86_400;
const options = (changes: Partial<CompactionOptions> = {}): CompactionOptions => ({
  store: lake.store,
  workDir: join(lake.root, "compaction"),
  ...changes,
});
const segment = (start: number, stop: number): Lineage => ({ ...LIVE, kind: "backfill", start, stop });

/** A segment of one roll for each slot, at so many seconds after midnight. */
const fill = (start: number, stop: number, seconds = start, to = stop) =>
  lake.fillAt(
    Array.from({ length: to - start }, (_, i) => [[start + i, seconds + i]] as const),
    { lineage: segment(start, stop) },
  );

const filesIn = async () => ((await new LakeReader(lake.store).read()).files.get("trades") ?? []).map((f) => f.slot);
const slots = (runs: readonly { slots: unknown }[]) => runs.map((run) => run.slots);

async function expectSound(before: readonly string[]): Promise<void> {
  expect(await rowsIn(lake.store)).toEqual([...before]);
  expect((await verifyLake(lake.store, { deep: true })).findings).toEqual([]);
}

describe("segments that are complete and follow each other", () => {
  test("of one day become one file, and there is nothing left to do", async () => {
    // Not in the order of slots: they end when they end.
    await fill(20, 23);
    await fill(10, 20);
    await fill(23, 25);
    const before = await rowsIn(lake.store);
    const { coverage } = await verifyLake(lake.store);
    expect(slots(await compactLake(options({ dryRun: true })))).toEqual(slots(await compactLake(options())));
    expect(await filesIn()).toEqual([{ min: 10, max: 24 }]);
    await expectSound(before);
    expect((await verifyLake(lake.store)).coverage).toEqual(coverage);
    expect(await compactLake(options())).toEqual([]);
  });

  test("that come later are joined to what was joined before", async () => {
    await fill(10, 13);
    await fill(13, 16);
    await compactLake(options());
    await fill(16, 19);
    const before = await rowsIn(lake.store);
    const done = await compactLake(options());
    expect(slots(done)).toEqual([
      { first: 16, last: 18 },
      { first: 10, last: 18 },
    ]);
    expect(await filesIn()).toEqual([{ min: 10, max: 18 }]);
    await expectSound(before);
    const entries = await Array.fromAsync(new Manifest(lake.store).after(null));
    expect(entries.at(-1)!.entry.lineage).toEqual({
      ...{ kind: "compaction", source: "main", dataset: "trades", start: 10, stop: 19, revision: 1 },
    });
  });

  test("are joined with what was written anew since", async () => {
    await fill(10, 12);
    await fill(12, 14);
    await compactLake(options());
    await dropRows({ store: lake.store, workDir: join(lake.root, "work"), dataset: "trades", where: "slot = 12" });
    await fill(14, 16);
    const before = await rowsIn(lake.store);
    expect(before).toHaveLength(5);
    await compactLake(options());
    expect(await filesIn()).toEqual([{ min: 10, max: 15 }]);
    await expectSound(before);
  });
});

describe("left alone", () => {
  test("another day, a gap, a segment that is not complete, another source, and the live archive", async () => {
    await fill(10, 12);
    await fill(12, 14, DAY + 12);
    await fill(15, 17, DAY + 15);
    await fill(17, 20, DAY + 17, 19);
    await lake.fillAt([[[20, DAY + 20]], [[21, 2 * DAY]]]);
    await lake.fillAt([[[14, DAY + 14]]], { lineage: { ...segment(14, 15), source: "other" } });
    const before = await rowsIn(lake.store);
    expect(slots(await compactLake(options()))).toEqual([
      { first: 10, last: 11 },
      { first: 12, last: 13 },
      { first: 15, last: 16 },
    ]);
    await expectSound(before);
    expect(await compactLake(options())).toEqual([]);
  });

  test("what is large enough", async () => {
    for (const slot of [10, 12, 14, 16]) {
      await lake.fillAt([[[slot, slot] as const, [slot + 1, slot + 1] as const]], {
        lineage: segment(slot, slot + 2),
      });
    }
    const sizes = (await new LakeReader(lake.store).read()).files.get("trades")!.map((file) => file.bytes);
    expect(await compactLake(options({ targetBytes: Math.min(...sizes) * 2 }))).toEqual([]);
    const [run, ...others] = await compactLake(options({ targetBytes: Math.max(...sizes) * 2 + 1 }));
    expect(run).toMatchObject({ slots: { first: 10, last: 15 }, filesBefore: 3, filesAfter: 1 });
    expect(others).toEqual([]);
  });
});

test("killed before any of its writes, and run again: the same rows, a sound lake", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 5 }), { maxLength: 3 }), async (kills) => {
      const outer = lake;
      lake = await LakeFolder.make();
      try {
        for (const start of [10, 12, 14]) await fill(start, start + 2);
        const before = await rowsIn(lake.store);
        for (const after of kills) {
          await killedAfter(lake.store, after, (store) => compactLake(options({ store })));
          expect(await rowsIn(lake.store)).toEqual(before);
        }
        await compactLake(options());
        expect(await filesIn()).toEqual([{ min: 10, max: 15 }]);
        await expectSound(before);
      } finally {
        await lake.dispose();
        lake = outer;
      }
    }),
    { numRuns: 5 },
  );
}, 300_000);
