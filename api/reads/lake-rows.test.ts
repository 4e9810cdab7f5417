/**
 * Goal: a user's old trades are told once and in order, however few rows are looked at for a page, also where block time stands
 * still or goes back over midnight. Method: a lake of several days, read page by page with the smallest bound.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { pointOf } from "../../storage/hot/reader.ts";
import { LakeFolder, LIVE, MIDNIGHT, segmentOf, stepOf, testBlock } from "../../storage/lake/lake-fixture.ts";
import { tradeRow, tradeTable } from "../../storage/lake/rows-fixture.ts";
import { LakeRows } from "./lake-rows.ts";
import type { EventPoint } from "./token-reads.ts";

const DAY = 86_400;
/** Slot and seconds after a midnight; slot 5 is of the day before slot 4's. */
const TIMES = [0, 10, DAY - 1, DAY, DAY + 1, DAY - 1, DAY + 5, 2 * DAY, 2 * DAY + 1, 4 * DAY, 4 * DAY + 1];

const user = new Uint8Array(32).fill(7);
let folder: LakeFolder;
beforeAll(async () => {
  folder = await LakeFolder.make();
  const sink = await folder.open();
  // One user has them all.
  const rows = (slot: number, time: number) => ({ ...tradeRow(slot, slot, time), user, mint: user });
  const blocks = TIMES.map((time, slot) => testBlock(slot, MIDNIGHT + time));
  await sink.commit(stepOf(null, blocks.at(-1)!, blocks.length - 1, blocks), {
    segments: [{ ...segmentOf(blocks), tables: [tradeTable(blocks.map((b) => rows(b.slot, b.time)))] }],
  });
  await sink.close();
});
afterAll(() => folder.dispose());

async function slots(reader: LakeRows, order: "asc" | "desc", limit: number, last = TIMES.length - 1) {
  const lake = await reader.snapshot(0, 0);
  const found: number[] = [];
  let pages = 0;
  for (let after: EventPoint | undefined; ; pages++) {
    const { rows, looked } = await reader.userTrades(lake, user, null, last, { order, limit, ...(after && { after }) });
    found.push(...rows.map((row) => Number(row["slot"])));
    if (looked === null && rows.length < limit) return { found, pages };
    after = looked ?? pointOf(rows.at(-1)!);
  }
}

test.each([1, 3, 1_000])("a day or more at a time, %i rows a page", async (limit) => {
  const all = TIMES.map((_, slot) => slot);
  for (const rowsMax of [1, 5, 1_000_000]) {
    const reader = new LakeRows(folder.store, LIVE.source, rowsMax);
    const up = await slots(reader, "asc", limit);
    const down = await slots(reader, "desc", limit);
    expect({ rowsMax, up: up.found, down: down.found }).toEqual({ rowsMax, up: all, down: all.toReversed() });
    if (limit === 1_000) expect(up.pages > 0).toBe(rowsMax < TIMES.length);
    expect((await slots(reader, "desc", limit, 6)).found).toEqual([6, 5, 4, 3, 2, 1, 0]);
    reader.close();
  }
});
