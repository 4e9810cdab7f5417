/**
 * What readers see of the lake. Goal: exactly the files that the manifest names and has not replaced, how far each lineage
 * has come, and coverage that claims no slot beyond what was received.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { cover, overlap, type SlotRange } from "./coverage.ts";
import { LakeFolder, LIVE } from "./lake-fixture.ts";
import { Manifest } from "./manifest.ts";
import { coverageOf, LakeReader, ofSource } from "./reader.ts";

describe("coverage", () => {
  const rangeOf = fc
    .tuple(fc.nat({ max: 40 }), fc.nat({ max: 6 }))
    .map(([first, more]): SlotRange => ({ first, last: first + more }));
  const slotsOf = (ranges: readonly SlotRange[]) =>
    new Set(ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i)));

  test("is the union of ranges, sorted, with gaps between them", () => {
    fc.assert(
      fc.property(fc.array(rangeOf, { maxLength: 12 }), (ranges) => {
        let covered: SlotRange[] = [];
        for (const range of ranges) covered = cover(covered, range);
        expect(slotsOf(covered)).toEqual(slotsOf(ranges));
        for (let i = 1; i < covered.length; i++) expect(covered[i]!.first).toBeGreaterThan(covered[i - 1]!.last + 1);
      }),
    );
  });

  test("says what of a range it has already", () => {
    fc.assert(
      fc.property(fc.array(rangeOf, { maxLength: 6 }), rangeOf, (ranges, range) => {
        const covered = ranges.reduce<SlotRange[]>(cover, []);
        const both = [...slotsOf([range])].filter((slot) => slotsOf(covered).has(slot)).sort((a, b) => a - b);
        const found = overlap(covered, range);
        expect(found).toEqual(both.length === 0 ? null : { first: both[0]!, last: both.at(-1)! });
      }),
    );
  });
});

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
});
afterEach(() => lake.dispose());

test("an empty lake has nothing", async () => {
  const lakeNow = await new LakeReader(lake.store).read();
  expect(lakeNow).toEqual({
    head: null,
    files: new Map(),
    lineages: [],
    coverage: new Map(),
    coverageOfSources: new Map(),
  });
});

test("asking again reads what is new; what was read before stays as it was", async () => {
  const reader = new LakeReader(lake.store);
  await lake.fill([[10, 12], [13]], { lineage: { ...LIVE, source: "one" } });
  const before = await reader.read();
  const filesBefore = () => before.files.get("trades")!.map((f) => [f.slot.min, f.rows]);
  expect(filesBefore()).toEqual([
    [10, 2],
    [13, 1],
  ]);
  await lake.fill([[50]], { lineage: { ...LIVE, source: "two" } });
  const [after, again] = await Promise.all([reader.read(), reader.read()]);
  expect(again).toBe(after);
  expect(after.head).toMatchObject({ number: 3 });
  expect(after.files.get("trades")).toHaveLength(3);
  expect(after.coverage.get("everything")).toEqual([
    { first: 10, last: 13 },
    { first: 50, last: 50 },
  ]);
  expect(after.lineages.map((l) => [l.lineage.source, l.number, l.position.slot])).toEqual([
    ["one", 2, 13],
    ["two", 3, 50],
  ]);
  expect(before.head).toMatchObject({ number: 2 });
  expect(filesBefore()).toHaveLength(2);
});

test("of one source: its files, lineages and slots, and nothing of the others", async () => {
  await lake.fill([[10, 12]], { lineage: { ...LIVE, source: "one" } });
  await lake.fill([[50], [51]], { lineage: { ...LIVE, source: "one-more" } });
  const all = await new LakeReader(lake.store).read();
  const own = ofSource(all, "one");
  expect(own.head).toEqual(all.head);
  expect(own.files.get("trades")!.map((f) => [f.source, f.slot.min])).toEqual([["one", 10]]);
  expect(own.lineages.map((l) => l.lineage.source)).toEqual(["one"]);
  expect(own.coverage.get("trades")).toEqual([{ first: 10, last: 12 }]);
  expect(coverageOf(own, "one-more", "trades")).toEqual([]);
  const nobody = ofSource(all, "nobody");
  expect([nobody.files.size, nobody.lineages.length, nobody.coverage.size]).toEqual([0, 0, 0]);
});

test("replaced files are gone, and their slots stay covered once", async () => {
  await lake.fill([[10, 11], [12]]);
  const manifest = new Manifest(lake.store);
  const entries = await Array.fromAsync(manifest.after(null));
  const last = entries[1]!;
  const file = { ...entries[0]!.entry.files[0]!, key: "dataset=trades/date=2023-11-15/10-12-joined00.parquet" };
  await manifest.append(
    {
      ...last.entry,
      lineage: { ...LIVE, kind: "compaction" },
      files: [{ ...file, slot: { min: 10, max: 12 }, rows: 3 }],
      first: entries[0]!.entry.first,
      blocks: 3,
      replaces: entries.flatMap((e) => e.entry.files.map((f) => f.key)),
    },
    last,
    null,
  );
  const { files, coverage } = await new LakeReader(lake.store).read();
  expect(files.get("trades")!.map((f) => f.key)).toEqual([file.key]);
  expect(coverage.get("trades")).toEqual([{ first: 10, last: 12 }]);
});

test("an entry that replaces what is not there is not trusted", async () => {
  await lake.fill([[10]]);
  const manifest = new Manifest(lake.store);
  const head = (await manifest.head())!;
  const lineage = { ...LIVE, kind: "compaction" as const };
  await manifest.append({ ...head.entry, lineage, files: [], replaces: ["dataset=trades/no"] }, head, null);
  await expect(new LakeReader(lake.store).read()).rejects.toMatchObject({ code: "LAKE_ENTRY" });
});
