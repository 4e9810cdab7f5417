/**
 * Goal: the script names every file of the lake once, under a table with all columns that its files have, and puts nothing
 * beside the lake's files. Method: a small lake; DuckDB reads the script's statements, apart from those of the extension, which tests
 * do not download.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { Duck } from "./duckdb.ts";
import { duckLakeScript } from "./ducklake.ts";
import { LakeFolder } from "./lake-fixture.ts";
import { LakeReader } from "./reader.ts";

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
});
afterEach(() => lake.dispose());

const root = "/lake of 'mine'";
const script = async () =>
  duckLakeScript({
    lake: await new LakeReader(lake.store).read(),
    root,
    catalogue: "my.ducklake",
    access: "-- access",
  });

test("an empty lake has none", async () => {
  expect(await script()).toBeNull();
});

test("a table with the lake's columns, and each of its files", async () => {
  await lake.fill([[10, 11], [12]]);
  const text = (await script())!;
  const lines = text.split("\n");
  const calls = lines.filter((line) => line.startsWith("CALL"));
  const files = (await new LakeReader(lake.store).read()).files.get("trades")!;
  expect(calls).toEqual(
    files.map(
      ({ key }) =>
        `CALL ducklake_add_data_files('lake', 'trades', '/lake of ''mine''/${key}', allow_missing => true, hive_partitioning => false);`,
    ),
  );
  expect(lines).toContain("ATTACH 'ducklake:my.ducklake' AS lake (DATA_PATH 'my.ducklake.files/');");
  expect(lines.filter((line) => line.includes("READ_ONLY"))).toHaveLength(1);
  expect(text.indexOf("-- access")).toBeLessThan(text.indexOf("ATTACH 'ducklake:my.ducklake' AS lake (DATA_PATH"));

  // The table takes the files' rows as they are.
  const duck = await Duck.open();
  try {
    await duck.run(lines.find((line) => line.startsWith("CREATE TABLE"))!.replace("lake.", ""));
    await duck.run(
      `INSERT INTO trades BY NAME FROM read_parquet('${lake.root}/lake/${files[0]!.key}', hive_partitioning = false)`,
    );
    expect(await duck.rows("SELECT count(*), min(slot), max(slot) FROM trades")).toEqual([[2n, 10n, 11n]]);
  } finally {
    duck.close();
  }
});

test("columns that came later are there for all files", async () => {
  await lake.fill([[10]]);
  const wider = {
    ...TRADES,
    version: 2,
    columns: [...TRADES.columns, { name: "fee", type: "u128", nullable: true, doc: "" }],
  };
  const snapshot = await new LakeReader(lake.store).read();
  const [file] = snapshot.files.get("trades")!;
  const columns = { ...file!.schema.columns, fee: "u128?" };
  const later = { ...file!, key: "later.parquet", schema: { ...file!.schema, version: wider.version, columns } };
  const files = new Map([["trades", [file!, later]]]);
  const text = duckLakeScript({ lake: { ...snapshot, files }, root, catalogue: "c" })!;
  expect(text.match(/CREATE TABLE/g)).toHaveLength(1);
  expect(text).toContain('"fee_hi" UBIGINT, "fee_lo" UBIGINT);');
  expect(text.match(/CALL/g)).toHaveLength(2);
});
