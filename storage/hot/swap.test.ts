/**
 * Goal: a store that was loaded from elsewhere than the chain takes its place in it and goes on as any other; and it is put in
 * the place of a running one whole, whatever that left behind. Method: real files; loads of blocks of which only the slot is
 * known; swaps over files with a log, damaged ones, and ones that cannot be replaced.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { HotReader } from "./reader.ts";
import { HotStore } from "./store.ts";
import { batch, CATALOG, Lane, lines, meta, positionOf, stepOf } from "./store-fixture.ts";
import { swapHotStore } from "./swap.ts";

let lane: Lane;
let made: string;
beforeEach(() => {
  lane = new Lane();
  made = join(dirname(lane.file), "made.sqlite");
});
afterEach(() => lane.dispose());

const BLOCKS = [1, 2, 3].map((slot) => ({ slot, notes: [{ mint: slot }] }));
const at = (slot: number) => positionOf(meta({ slot }));

/** A store that holds the blocks as the lake has them: without hash and cursor. */
async function loaded(file: string): Promise<HotStore> {
  const store = new HotStore({ file, catalog: CATALOG });
  await store.open();
  const { tables } = batch(BLOCKS);
  const blocks = BLOCKS.map((block) => ({ ...meta(block), hash: "", cursor: "" }));
  const next = positionOf(blocks.at(-1)!);
  await store.commit({ prev: null, next, finalSlot: 5, blocks, inputSeq: 0 }, { blocks, tables });
  const recent = [{ slot: 4, hash: "4" }, at(5)];
  await store.settle({ prev: next, next: at(5), finalSlot: 5, blocks: recent, inputSeq: 0 }, 1_700_000_005);
  return store;
}

test("a loaded store stands where it is told, knows the last blocks, and goes on", async () => {
  const store = await loaded(made);
  await store.skipVersions(1_000);
  await store.close();
  const head = await store.open();
  expect(head).toMatchObject({ position: at(5), finalSlot: 5, inputSeq: 0 });
  expect(head!.recent).toEqual([
    { slot: 4, hash: "4" },
    { slot: 5, hash: "5" },
  ]);
  const more = [{ slot: 6, notes: [{ mint: 1 }] }];
  await store.commit(stepOf(at(5), more, 5), batch(more));
  const reader = new HotReader(made);
  expect(reader.version()).toStartWith("1001-");
  expect(reader.stand()).toMatchObject({ finalTime: 1_700_000_005 });
  reader.close();
  const whole = await lane.opened();
  await lane.commit(whole, [...BLOCKS, { slot: 5 }], 5);
  await lane.commit(whole, more, 5);
  expect(lines(store)).toEqual(lines(whole));
  await store.rollback({ prev: at(6), next: at(5), finalSlot: 5, blocks: [], inputSeq: 0 });
  await Promise.all([store.close(), whole.close()]);
});

test("versions only grow", async () => {
  const store = await loaded(made);
  await store.skipVersions(1);
  const reader = new HotReader(made);
  expect(reader.version()).toStartWith("2-");
  reader.close();
  await store.close();
});

test("in place of a file with a log, of a damaged one, of none; and a reader of the old one reads on", async () => {
  const old = await lane.opened();
  await lane.commit(old, [{ slot: 9, notes: [{ mint: 9 }] }]);
  const reader = new HotReader(lane.file);
  const before = [...reader.dump()];
  expect(existsSync(`${lane.file}-wal`)).toBe(true);
  const crashed = join(dirname(lane.file), "crashed");
  mkdirSync(crashed);
  for (const part of ["", "-wal", "-shm"]) cpSync(lane.file + part, join(crashed, `lane.sqlite${part}`));
  await old.close();
  const target = join(crashed, "lane.sqlite");
  const files = () => readdirSync(crashed).filter((name) => !/-(wal|shm)$/.test(name));

  for (const damage of [() => undefined, () => writeFileSync(target, "damaged"), () => undefined]) {
    damage();
    const store = await loaded(made);
    const content = lines(store);
    await store.close();
    swapHotStore(made, target);
    expect(lines({ name: target })).toEqual(content);
    expect(files()).toEqual(["lane.sqlite"]);
  }
  expect([...reader.dump()]).toEqual(before);
  reader.close();
});

test("a file that somebody has open is not put in place; where it cannot be, the old one stays", async () => {
  const old = await lane.opened();
  await lane.commit(old, BLOCKS);
  const before = lines(old);
  await old.close();
  const store = await loaded(made);
  expect(() => swapHotStore(made, lane.file)).toThrow(expect.objectContaining({ code: "HOT_SWAP" }));
  await store.close();
  expect(() => swapHotStore(join(dirname(made), "nowhere"), lane.file)).toThrow(
    expect.objectContaining({ code: "HOT_SWAP" }),
  );
  expect(lines({ name: lane.file })).toEqual(before);
});
