/**
 * Goal: rows that are dropped are gone for every reader and nothing else is, the lake stays sound, and two that replace the
 * same files do not both succeed. Method: a small lake of trades, numbered by slot, read before and after.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { Fenced } from "../../pipeline/errors.ts";
import { quoteText } from "./columns.ts";
import { type DropOptions, dropRows } from "./drop-rows.ts";
import { Duck } from "./duckdb.ts";
import { LakeFolder, watchedStore } from "./lake-fixture.ts";
import { LakeReader } from "./reader.ts";
import type { ObjectStore } from "./store.ts";
import { verifyLake } from "./verify.ts";

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
  await lake.fill([[10, 11, 12], [13, 14], [15]]);
});
afterEach(() => lake.dispose());

const drop = (where: string, changes: Partial<DropOptions> = {}) =>
  dropRows({ store: lake.store, workDir: join(lake.root, "drop"), dataset: "trades", where, ...changes });

async function slots(): Promise<number[]> {
  const files = (await new LakeReader(lake.store).read()).files.get("trades") ?? [];
  const duck = await Duck.open();
  try {
    const paths = files.map(({ key }) => quoteText(join(lake.root, "lake", key)));
    if (paths.length === 0) return [];
    const rows = await duck.rows(
      `SELECT slot FROM read_parquet([${paths.join(", ")}], hive_partitioning = false) ORDER BY 1`,
    );
    return rows.map(([slot]) => Number(slot));
  } finally {
    duck.close();
  }
}

test("a rehearsal counts and changes nothing", async () => {
  expect(await drop("slot IN (11, 13, 14)", { dryRun: true })).toEqual({ rows: 3, files: 2, kept: 3 });
  expect(await slots()).toEqual([10, 11, 12, 13, 14, 15]);
});

test("rows go, whole files too, and the lake is sound; the same range may be dropped from again", async () => {
  expect(await drop("slot IN (11, 13, 14)")).toEqual({ rows: 3, files: 2, kept: 3 });
  expect(await slots()).toEqual([10, 12, 15]);
  expect(await drop("slot = 10")).toEqual({ rows: 1, files: 1, kept: 2 });
  expect(await drop("slot = 99")).toEqual({ rows: 0, files: 0, kept: 2 });
  expect(await drop("true")).toEqual({ rows: 2, files: 2, kept: 0 });
  expect(await slots()).toEqual([]);
  const { ok, findings } = await verifyLake(lake.store, { deep: true });
  expect({ ok, errors: findings.filter(({ severity }) => severity === "error") }).toEqual({ ok: true, errors: [] });
});

test("of another source nothing goes", async () => {
  expect(await drop("true", { source: "other" })).toMatchObject({ rows: 0, kept: 0 });
  expect((await slots()).length).toBe(6);
});

test("what is null is not dropped by a comparison with it", async () => {
  expect(await drop("mint = 'nobody' AND NULL")).toMatchObject({ rows: 0 });
});

test("stopped before its entry, it has done nothing", async () => {
  const store = watchedStore(lake.store, (operation, key) => {
    if (operation === "put" && key.startsWith("manifest/")) throw new Error("stopped");
  });
  await expect(drop("slot = 11", { store })).rejects.toThrow("stopped");
  expect(await slots()).toEqual([10, 11, 12, 13, 14, 15]);
});

test("files that somebody else has replaced meanwhile: fenced, and only the other's rows are gone", async () => {
  const writing = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const slow: ObjectStore = {
    ...watchedStore(lake.store, () => undefined),
    async putIfAbsent(key, body, sha256) {
      if (key.startsWith("manifest/")) {
        writing.resolve();
        await goOn.promise;
      }
      return lake.store.putIfAbsent(key, body, sha256);
    },
  };
  const late = drop("slot = 11", { store: slow, workDir: join(lake.root, "late") });
  await writing.promise;
  await drop("slot = 12");
  goOn.resolve();
  expect(await late.catch((error: unknown) => error)).toBeInstanceOf(Fenced);
  expect(await slots()).toEqual([10, 11, 13, 14, 15]);
});
