/**
 * Goal: a file that this program cannot keep right is refused with the reason, and nothing else is. Method: sound files,
 * changed from outside in one way each.
 */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import type { Fatal } from "../../pipeline/errors.ts";
import { LIMITS } from "../../pipeline/limits.ts";
import { HotReader } from "./reader.ts";
import type { HotStore } from "./store.ts";
import { address, CATALOG, Lane, NOTES } from "./store-fixture.ts";

let lane: Lane;
let store: HotStore;
beforeEach(async () => {
  lane = new Lane();
  store = await lane.opened();
});
afterEach(async () => {
  await store.close();
  lane.dispose();
});

const block = (slot: number) => ({ slot, notes: [{}] });

describe("a file", () => {
  test("of a newer version, of other columns, or of something else is refused", async () => {
    await store.close();
    const change = (sql: string) => {
      const db = new Database(lane.file);
      db.run(sql);
      db.close();
    };
    const reopen = () => lane.store().open();
    change("PRAGMA user_version = 99");
    await expect(reopen()).rejects.toMatchObject({ code: "HOT_SCHEMA", kind: "fatal" });
    expect(() => new HotReader(lane.file)).toThrow("newer version");
    change("PRAGMA user_version = 2");
    change("PRAGMA application_id = 7");
    await expect(reopen()).rejects.toMatchObject({ code: "HOT_SCHEMA" });
  });

  test("whose position is missing, or is not its last block, is refused", async () => {
    await lane.commit(store, [block(1), block(2)]);
    await store.close();
    for (const sql of [
      "UPDATE _position SET slot = 1",
      "UPDATE _position SET slot = 2, hash = 'x'",
      "DELETE FROM _position",
    ]) {
      const db = new Database(lane.file);
      db.run(sql);
      db.close(true);
      await expect(lane.store().open()).rejects.toMatchObject({ code: "HOT_SCHEMA", kind: "fatal" });
    }
  });

  test("whose journal is missing is refused", async () => {
    await store.close();
    const db = new Database(lane.file);
    db.run("DROP TABLE _journal_candles_open");
    db.close(true);
    await expect(lane.store().open()).rejects.toMatchObject({ code: "HOT_SQLITE", kind: "fatal" });
  });

  test("whose dataset has changed is refused; a nullable column at its end is added", async () => {
    await lane.commit(store, [block(1)]);
    await store.close();
    const as = (spec: DatasetSpec) => lane.opened({ catalog: new Map([...CATALOG, [spec.name, spec]]) });
    const column = (nullable: boolean) => ({ name: "added", type: "u64", nullable, doc: "" }) as const;
    await expect(as({ ...NOTES, version: 2 })).rejects.toMatchObject({ code: "HOT_SCHEMA" });
    await expect(as({ ...NOTES, columns: NOTES.columns.slice(1) })).rejects.toMatchObject({ code: "HOT_SCHEMA" });
    await expect(as({ ...NOTES, columns: [...NOTES.columns, column(false)] })).rejects.toMatchObject({
      code: "HOT_SCHEMA",
    });
    const grown = await as({ ...NOTES, columns: [...NOTES.columns, column(true)], doc: "other words" });
    const reader = new HotReader(lane.file);
    expect(reader.events(address(1), { order: "asc", limit: 1 })[0]!.row).toMatchObject({ added: null, text: "1" });
    reader.close();
    await grown.close();
  });

  test("that is damaged is fatal and says how to rebuild", async () => {
    await lane.commit(store, [{ slot: 1, notes: Array.from({ length: 500 }, () => ({})) }], 1);
    await store.close();
    const bytes = new Uint8Array(await Bun.file(lane.file).arrayBuffer());
    await Bun.write(lane.file, bytes.fill(0xaa, 100, bytes.length));
    const error = await lane
      .store()
      .open()
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "HOT_CORRUPT", kind: "fatal" });
    expect((error as Fatal).hint).toContain("sluice rebuild");
  });

  test("that cannot be made is fatal", async () => {
    await Bun.write(`${lane.file}.d`, "a file where a folder should be");
    const error = lane.store({ file: `${lane.file}.d/lane.sqlite` }).open();
    await expect(error).rejects.toMatchObject({ code: "HOT_UNWRITABLE", kind: "fatal" });
  });

  test("an event dataset cannot take the name of a state table", async () => {
    const catalog = new Map([["orders", { ...NOTES, name: "orders" }]]);
    await expect(lane.store({ catalog }).open()).rejects.toMatchObject({ code: "DATASET_NAME" });
  });

  test("remembers a window of final blocks, no more", async () => {
    const many = Array.from({ length: LIMITS.recentFinalBlocks + 40 }, (_, i) => ({ slot: i + 1 }));
    await lane.commit(store, many, many.length - 10);
    await lane.commit(store, [{ slot: many.length + 1 }], many.length - 9);
    const recent = (await store.open())!.recent;
    expect(recent).toHaveLength(LIMITS.recentFinalBlocks + 10);
    expect(recent.at(-1)!.slot).toBe(many.length + 1);
  });
});
