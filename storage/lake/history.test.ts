/**
 * What is left of a backfill. Goal: every slot of the range is done exactly once, whatever was begun before and however it
 * is divided; what the lake holds by other means is refused and named. Method: a model that marks slots; then real entries.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compactLake } from "./compaction.ts";
import { decodeEntry, encodeEntry } from "./entry.ts";
import { type Begun, backfillLineage, gapsIn, type History, planBackfill, readHistory } from "./history.ts";
import { LakeFolder, rollOf, stepOf, testBlock } from "./lake-fixture.ts";
import { Manifest } from "./manifest.ts";
import { verifyLake } from "./verify.ts";

const history = (changes: Partial<History> = {}): History => ({ live: [], begun: [], blocks: 0, slots: 0, ...changes });
const asked = (from: number, to: number, segmentSlots = 1_000_000, streams = 2) => ({
  from,
  to,
  segmentSlots,
  streams,
});

/** Segments that do not overlap, some of them done. */
const begunArbitrary = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 1, max: 40 }), fc.nat({ max: 40 })), {
    maxLength: 6,
  })
  .map((steps) => {
    let at = 100;
    return steps.map(([gap, length, done]): Begun => {
      const start = at + gap;
      at = start + length;
      return { start, stop: at, slot: start - 1 + Math.min(done, length) };
    });
  });

test("all that is missing, once, and what was begun as it was begun", () => {
  fc.assert(
    fc.property(begunArbitrary, fc.integer({ min: 1, max: 50 }), (begun, segmentSlots) => {
      const options = asked(90, 600, segmentSlots);
      const plan = planBackfill(history({ begun }), options);
      const times = new Map<number, number>();
      for (const { from, stop } of plan) for (let s = from; s < stop; s++) times.set(s, (times.get(s) ?? 0) + 1);
      const held = begun.flatMap(({ start, slot }) => Array.from({ length: slot - start + 1 }, (_, i) => start + i));
      for (let s = 90; s < 600; s++) expect(times.get(s) ?? 0).toBe(held.includes(s) ? 0 : 1);
      expect([...times.keys()].every((s) => s >= 90 && s < 600)).toBe(true);
      for (const segment of plan) {
        const old = begun.find(({ start, stop }) => start === segment.start && stop === segment.stop);
        if (old === undefined) expect(segment.stop - segment.start).toBeLessThanOrEqual(segmentSlots);
        else expect(segment.from).toBe(old.slot + 1);
      }
    }),
  );
});

test("a long range is divided among the streams, a short one is not", () => {
  expect(planBackfill(history(), asked(0, 10_000))).toEqual([
    { start: 0, stop: 5_000, from: 0 },
    { start: 5_000, stop: 10_000, from: 5_000 },
  ]);
  expect(planBackfill(history(), asked(0, 1_500))).toEqual([{ start: 0, stop: 1_500, from: 0 }]);
});

describe("refused, with what the lake covers", () => {
  const live = [{ first: 300, last: 900 }];
  test("live slots in the range", () => {
    const error = expect(() => planBackfill(history({ live }), asked(100, 500)));
    error.toThrow("the lake covers slots 300 to 900 already; asked for are 100 to 499");
    expect(planBackfill(history({ live }), asked(100, 300))).toHaveLength(1);
    try {
      planBackfill(history({ live }), asked(100, 500));
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: "BACKFILL_COVERED", hint: expect.stringContaining("--from 100 --to 300.") });
    }
  });

  test("a backfill that reaches across the edge of the range: finished, and not", () => {
    const done = { start: 100, stop: 200, slot: 199 };
    expect(() => planBackfill(history({ begun: [done] }), asked(150, 300))).toThrow("covers slots 100 to 199");
    expect(() => planBackfill(history({ begun: [{ ...done, slot: 120 }] }), asked(150, 300))).toThrow(
      "an earlier backfill of slots 100 to 199 stands at 120",
    );
    expect(planBackfill(history({ begun: [done] }), asked(100, 200))).toEqual([]);
  });
});

test("gaps", () => {
  const range = { first: 10, last: 20 };
  expect(gapsIn([], range)).toEqual([range]);
  expect(
    gapsIn(
      [
        { first: 0, last: 12 },
        { first: 15, last: 15 },
      ],
      range,
    ),
  ).toEqual([
    { first: 13, last: 14 },
    { first: 16, last: 20 },
  ]);
  expect(gapsIn([{ first: 20, last: 30 }], range)).toEqual([{ first: 10, last: 19 }]);
});

describe("in a lake", () => {
  let lake: LakeFolder;
  beforeEach(async () => {
    lake = await LakeFolder.make();
  });
  afterEach(() => lake.dispose());

  test("a range is covered from its beginning to its end, also where no block came, and joins the live range", async () => {
    await lake.fill([[300, 310]]);
    const lineage = backfillLineage("main", 100, 300);
    const sink = await lake.open({ lineage });
    const block = testBlock(140);
    await sink.commit(stepOf(null, block), rollOf([block]));
    expect(await readHistory(lake.store, "main")).toMatchObject({
      live: [{ first: 300, last: 310 }],
      begun: [{ start: 100, stop: 300, slot: 140 }],
    });
    expect((await verifyLake(lake.store)).coverage["trades"]).toEqual([
      { first: 100, last: 140 },
      { first: 300, last: 310 },
    ]);
    await sink.closeRange("ab");
    await sink.closeRange("ab");
    const report = await verifyLake(lake.store, { deep: true });
    expect(report.findings).toEqual([]);
    expect(report.entries).toBe(3);
    expect(report.coverage["trades"]).toEqual([{ first: 100, last: 310 }]);
    expect(planBackfill(await readHistory(lake.store, "main"), asked(100, 300))).toEqual([]);
    expect(await readHistory(lake.store, "other")).toEqual(history());
    // The writer that comes back finds that nothing is left.
    expect((await (await lake.open({ lineage })).open())?.position.slot).toBe(299);
  });

  test("a range without a single block is covered as well", async () => {
    const sink = await lake.open({ lineage: backfillLineage("main", 5, 9) });
    await sink.closeRange("ab");
    const report = await verifyLake(lake.store, { deep: true });
    expect(report).toMatchObject({ ok: true, entries: 1, rows: 0, coverage: { trades: [{ first: 5, last: 8 }] } });
  });

  test("the files of a range that is complete are merged, of one that is not they wait", async () => {
    const lineage = backfillLineage("main", 10, 13);
    await lake.fill([[10], [11]], { lineage });
    const options = { store: lake.store, workDir: lake.root };
    expect(await compactLake(options)).toEqual([]);
    await (await lake.open({ lineage })).closeRange("ab");
    expect(await compactLake(options)).toMatchObject([
      { filesBefore: 2, filesAfter: 1, slots: { first: 10, last: 12 } },
    ]);
    const report = await verifyLake(lake.store, { deep: true });
    expect(report.findings).toEqual([]);
    expect(report.coverage["trades"]).toEqual([{ first: 10, last: 12 }]);
  });

  test("an entry without blocks is believed only at the end of a range", async () => {
    await (await lake.open({ lineage: backfillLineage("main", 5, 9) })).closeRange("ab");
    const { entry } = (await new Manifest(lake.store).read(1))!;
    for (const change of [
      { lineage: { ...entry.lineage, stop: 10 } },
      { lineage: { ...entry.lineage, kind: "live" as const, start: null, stop: null } },
      { lineage: { ...entry.lineage, start: 9 } },
    ]) {
      expect(() => decodeEntry(encodeEntry({ ...entry, ...change }), "x")).toThrow();
    }
  });
});
