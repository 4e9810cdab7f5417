/**
 * Verification. Goal: every kind of damage is found, and the object named; a sound lake has no findings. Method: a small
 * real lake is damaged in one way at a time, and the report must say exactly that.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { Transient } from "../../pipeline/errors.ts";
import { quoteText } from "./columns.ts";
import { dropRows } from "./drop-rows.ts";
import { Duck } from "./duckdb.ts";
import { encodeEntry, type ManifestEntry } from "./entry.ts";
import { LakeFolder, LIVE, rollOf, stepOf, testBlock, watchedStore } from "./lake-fixture.ts";
import { checkpointKey, entryKey, Manifest } from "./manifest.ts";
import { sha256Of } from "./store.ts";
import { verifyLake } from "./verify.ts";
import type { Finding, VerifyOptions } from "./verify-report.ts";

let lake: LakeFolder;
let entries: ManifestEntry[];
beforeEach(async () => {
  lake = await LakeFolder.make();
  await lake.fill([[10, 11, 12], [13, 14], [15], [16, 17], [18, 20]], { checkpointEvery: 2 });
  entries = (await Array.fromAsync(new Manifest(lake.store).after(null))).map((s) => s.entry);
});
afterEach(() => lake.dispose());

const verify = (options: VerifyOptions = {}) =>
  verifyLake(lake.store, { workDir: lake.options().workDir, world: DAYS_LATER, ...options });
/** What no entry names by then is not of a commit under way. */
const DAYS_LATER = { now: () => Date.now() + 2 * 86_400_000 };
const errors = (findings: readonly Finding[]) =>
  findings.filter((f) => f.severity === "error").map((f) => [f.kind, f.where]);
const fileOf = (entry: number) => entries[entry - 1]!.files[0]!;
const pathOf = async (key: string) => (await lake.store.localPath(key))!;
const rewrite = async (key: string, change: (text: string) => string) => {
  const path = await pathOf(key);
  const before = await Bun.file(path).text();
  expect(change(before)).not.toBe(before);
  await Bun.write(path, change(before));
};

/** Rewrites entries so that the chain holds again: what is left is damage that only the content shows. */
async function rewriteChain(change: (entry: ManifestEntry) => ManifestEntry): Promise<void> {
  for (const number of [2, 4]) await lake.store.delete(checkpointKey(number));
  let previous: string | null = null;
  for (const entry of entries) {
    const bytes = encodeEntry(change({ ...entry, previous }));
    await Bun.write(await pathOf(entryKey(entry.number)), bytes);
    previous = sha256Of(bytes);
  }
}

describe("a sound lake", () => {
  test("has no findings, and is described exactly", async () => {
    const steps: string[] = [];
    const report = await verify({ deep: true, onProgress: (p) => steps.push(`${p.phase} ${p.done}/${p.total}`) });
    const head = (await new Manifest(lake.store).head())!;
    expect(report).toEqual({
      ok: true,
      lake: lake.store.name,
      deep: true,
      head: { number: 5, sha256: head.sha256 },
      entries: 5,
      files: 5,
      rows: 10,
      bytes: entries.flatMap((e) => e.files).reduce((sum, f) => sum + f.bytes, 0),
      filesChecked: 5,
      lineages: [{ lineage: "live/main/all/-", slot: 20 }],
      revisions: [],
      coverage: { everything: [{ first: 10, last: 20 }], trades: [{ first: 10, last: 20 }] },
      findings: [],
    });
    expect(steps).toContain("entries 5/5");
    expect(steps).toContain("files 5/5");
    expect(steps.at(-1)).toBe("rows 5/5");
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  test("may be empty", async () => {
    const empty = await LakeFolder.make();
    const report = await verifyLake(empty.store, { deep: true, workDir: empty.options().workDir });
    expect(report).toMatchObject({ ok: true, head: null, entries: 0, files: 0, findings: [] });
    await empty.dispose();
  });

  test("may hold what a crash left behind: a notice", async () => {
    const key = "dataset=trades/date=2023-11-15/16-17-abcdef01.parquet";
    const beyond = "dataset=trades/date=2023-11-15/20-21-abcdef01.parquet";
    const bytes = new TextEncoder().encode("left");
    for (const left of [key, beyond]) await lake.store.putIfAbsent(left, bytes, sha256Of(bytes));
    await lake.store.putIfAbsent("manifest/notes.txt", bytes, sha256Of(bytes));
    const { ok, findings } = await verify();
    expect(ok).toBe(true);
    expect(findings.map((f) => [f.kind, f.where])).toEqual([
      ["stranger", "manifest/notes.txt"],
      ["orphan", key],
      ["uncovered", beyond],
    ]);
    const now = await verify({ world: { now: Date.now } });
    expect([now.ok, now.findings.at(-1)]).toMatchObject([
      true,
      { kind: "uncommitted", severity: "notice", where: beyond },
    ]);
  });

  test("may hold the same slots from several sources, whose rows are others", async () => {
    const other = await lake.open({ lineage: { ...LIVE, source: "devnet" } });
    const blocks = [12, 13].map((slot) => testBlock(slot));
    await other.commit(stepOf(null, blocks[1]!), rollOf(blocks));
    const { ok, findings, lineages } = await verify({ deep: true });
    // That the rows of this test are the same for both is told, too.
    expect([ok, findings.map(({ kind, severity }) => [kind, severity])]).toEqual([
      true,
      [["rows-of-sources", "notice"]],
    ]);
    expect(findings[0]!.detail).toStartWith("2 rows are there for several of devnet, main");
    expect(lineages.map(({ lineage }) => lineage)).toEqual(["live/main/all/-", "live/devnet/all/-"]);
  });

  test("has gaps in its slots where a filtered stream left them out", async () => {
    await lake.fill([[100, 140, 180]], { lineage: { ...LIVE, kind: "backfill", start: 100, stop: 200 } });
    const { ok, coverage } = await verify({ deep: true });
    expect(ok).toBe(true);
    expect(coverage["trades"]).toEqual([
      { first: 10, last: 20 },
      { first: 100, last: 180 },
    ]);
  });
});

describe("damage to a file is found and named:", () => {
  test("deleted", async () => {
    await lake.store.delete(fileOf(2).key);
    expect(errors((await verify()).findings)).toEqual([["file-missing", fileOf(2).key]]);
  });

  test("a bit flipped, wherever it is", async () => {
    const path = await pathOf(fileOf(3).key);
    const original = await Bun.file(path).bytes();
    for (let at = 0; at < original.length; at += Math.ceil(original.length / 40)) {
      const damaged = original.slice();
      damaged[at]! ^= 1 << (at % 8);
      await Bun.write(path, damaged);
      expect(errors((await verify({ since: { entry: 3 } })).findings)).toEqual([["file-checksum", fileOf(3).key]]);
    }
  });

  test("cut off", async () => {
    const path = await pathOf(fileOf(4).key);
    await Bun.write(path, (await Bun.file(path).bytes()).slice(0, -1));
    const { ok, findings } = await verify({ deep: true });
    expect(ok).toBe(false);
    expect(errors(findings)).toEqual([["file-size", fileOf(4).key]]);
  });

  test("swapped with another", async () => {
    const [a, b] = [await pathOf(fileOf(1).key), await pathOf(fileOf(2).key)];
    const [bytesA, bytesB] = [await Bun.file(a).bytes(), await Bun.file(b).bytes()];
    await Bun.write(a, bytesB);
    await Bun.write(b, bytesA);
    const found = errors((await verify()).findings);
    expect(found.map(([, where]) => where)).toEqual([fileOf(1).key, fileOf(2).key]);
  });

  test("not readable: the others are checked all the same", async () => {
    const broken = (of: "checksum" | "get", key: string) => ({
      ...watchedStore(lake.store, () => undefined),
      [of]: (asked: string) => {
        if (asked === key) throw new Transient("LAKE_IO", "EIO: i/o error, read");
        return lake.store[of](asked);
      },
    });
    await lake.store.delete(fileOf(4).key);
    const found = await verifyLake(broken("checksum", fileOf(2).key));
    expect(errors(found.findings)).toEqual([
      ["file-unreadable", fileOf(2).key],
      ["file-missing", fileOf(4).key],
    ]);
    const without = await verifyLake(broken("get", entryKey(3)));
    expect(errors(without.findings)).toEqual([
      ["entry-invalid", entryKey(3)],
      ["file-missing", fileOf(4).key],
    ]);
  });

  test("files before `since` are left unread, the chain is not", async () => {
    await lake.store.delete(fileOf(1).key);
    const { max } = fileOf(1).blockTime;
    for (const since of [{ entry: 2 }, { time: max + 1 }]) {
      expect(await verify({ since })).toMatchObject({ ok: true, files: 5, filesChecked: 4 });
    }
    for (const since of [{ entry: 1 }, { time: max }]) expect((await verify({ since })).ok).toBe(false);
  });
});

describe("damage to the manifest is found and named:", () => {
  test("an entry missing in the middle", async () => {
    await lake.store.delete(entryKey(3));
    const { findings } = await verify();
    expect(errors(findings)).toEqual([["entry-missing", entryKey(3)]]);
    expect(findings.map((f) => [f.kind, f.where])).toContainEqual(["uncovered", fileOf(3).key]);
  });

  test("many entries missing in a row, however many", async () => {
    await lake.store.putIfAbsent(
      entryKey(9_999_999_999),
      new TextEncoder().encode("{}"),
      sha256Of(new TextEncoder().encode("{}")),
    );
    const { findings } = await verify();
    expect(errors(findings)).toEqual([
      ["entry-missing", entryKey(6)],
      ["entry-invalid", entryKey(9_999_999_999)],
    ]);
    expect(findings[0]!.detail).toStartWith("entries 6 to 9999999998 are missing");
  });

  test("all of it missing", async () => {
    for (const key of await lake.store.list("manifest/")) await lake.store.delete(key);
    const { ok, findings } = await verify();
    expect([ok, errors(findings)]).toEqual([false, [["manifest-missing", "manifest/"]]]);
    expect(findings[0]!.detail).toContain("data files: 5");
  });

  test("an entry that a checkpoint rests on missing from the end", async () => {
    await lake.store.delete(entryKey(5));
    await lake.store.delete(entryKey(4));
    expect(errors((await verify()).findings)).toEqual([["entry-missing", entryKey(4)]]);
  });

  test("the last entry missing: by its orphans, and by the head that was kept elsewhere", async () => {
    const { head } = await verify();
    await lake.store.delete(entryKey(5));
    expect((await verify()).findings.map((f) => [f.kind, f.where])).toEqual([["uncovered", fileOf(5).key]]);
    expect(errors((await verify({ expectedHead: head! })).findings)).toEqual([["entry-missing", entryKey(5)]]);
  });

  test("an entry edited", async () => {
    for (const number of [1, 2, 3, 4]) {
      const path = await pathOf(entryKey(number));
      const original = await Bun.file(path).text();
      await rewrite(entryKey(number), (text) => text.replace("map_events", "map_evants"));
      const found = errors((await verify()).findings);
      expect(found).toContainEqual(["entry-changed", entryKey(number)]);
      expect(new Set(found.map(([, where]) => where))).toEqual(new Set([entryKey(number)]));
      await Bun.write(path, original);
    }
  });

  test("the last entry edited, by the head that was kept elsewhere", async () => {
    const { head } = await verify();
    await rewrite(entryKey(5), (text) => text.replace("map_events", "map_evants"));
    expect(errors((await verify({ expectedHead: head! })).findings)).toEqual([["entry-changed", entryKey(5)]]);
  });

  test("an entry that is no entry any more", async () => {
    await rewrite(entryKey(3), (text) => text.slice(0, 100));
    const found = errors((await verify()).findings);
    expect(found).toContainEqual(["entry-invalid", entryKey(3)]);
    expect(new Set(found.map(([, where]) => where))).toEqual(new Set([entryKey(3)]));
  });

  test("entries swapped", async () => {
    const [a, b] = [await pathOf(entryKey(2)), await pathOf(entryKey(3))];
    const [textA, textB] = [await Bun.file(a).text(), await Bun.file(b).text()];
    await Bun.write(a, textB);
    await Bun.write(b, textA);
    const found = errors((await verify()).findings);
    expect(found).toContainEqual(["entry-invalid", entryKey(2)]);
    expect(found).toContainEqual(["entry-invalid", entryKey(3)]);
  });

  test("a checkpoint edited", async () => {
    await rewrite(checkpointKey(4), (text) => text.replace('"live/main/all/-":4', '"live/main/all/-":3'));
    expect(errors((await verify()).findings)).toEqual([["checkpoint-invalid", checkpointKey(4)]]);
  });

  test("a position that does not follow, though the chain of checksums holds", async () => {
    await rewriteChain((e) => (e.number === 4 ? { ...e, from: { ...e.from!, hash: "other" } } : e));
    expect(errors((await verify()).findings)).toEqual([["coverage-broken", entryKey(4)]]);
  });
});

describe("a deep check also finds", () => {
  test("facts that are not those of the rows", async () => {
    const change = (key: string, facts: object) =>
      rewriteChain((e) => ({ ...e, files: e.files.map((f) => (f.key === key ? { ...f, ...facts } : f)) }));
    const { key, slot } = fileOf(1);
    for (const facts of [
      { rows: 4 },
      { slot: { ...slot, min: 11 } },
      { mint: null },
      { blockTime: { min: 1, max: 2 } },
    ]) {
      await change(key, facts);
      expect((await verify()).ok).toBe(true);
      expect(errors((await verify({ deep: true })).findings)).toEqual([["file-facts", key]]);
    }
  });

  /** Puts other rows into a file, and lets the manifest say that this is how it was written. */
  async function replaceRows(key: string, select: string): Promise<void> {
    const path = await pathOf(key);
    const duck = await Duck.open();
    await duck.run(`CREATE TABLE file_rows AS FROM read_parquet(${quoteText(path)}, hive_partitioning = false)`);
    await duck.run(`COPY (${select}) TO ${quoteText(`${path}.new`)} (FORMAT parquet)`);
    duck.close();
    const bytes = await Bun.file(`${path}.new`).bytes();
    await Bun.write(path, bytes);
    await Bun.file(`${path}.new`).delete();
    const facts = { bytes: bytes.length, sha256: sha256Of(bytes) };
    await rewriteChain((e) => ({ ...e, files: e.files.map((f) => (f.key === key ? { ...f, ...facts } : f)) }));
  }

  test("rows out of order", async () => {
    const { key } = fileOf(1);
    await replaceRows(key, "FROM file_rows ORDER BY mint DESC NULLS FIRST");
    expect((await verify()).ok).toBe(true);
    expect(errors((await verify({ deep: true })).findings)).toEqual([["file-order", key]]);
  });

  test("rows that occur twice in a file", async () => {
    const { key } = fileOf(1);
    await replaceRows(key, "FROM (SELECT * FROM file_rows WHERE slot <> 11 UNION ALL FROM file_rows WHERE slot = 10)");
    const { findings } = await verify({ deep: true });
    expect(errors(findings)).toContainEqual(["duplicate-rows", key]);
    expect(findings.find((f) => f.kind === "duplicate-rows")!.detail).toBe("1 rows are repeats of others");
  });

  test("a file that two entries name", async () => {
    const { key } = fileOf(2);
    const shared = { ...fileOf(2) };
    const last = entries.at(-1)!;
    const other = { ...LIVE, source: "other" };
    const bytes = encodeEntry({
      ...{ ...last, number: 6, previous: (await new Manifest(lake.store).head())!.sha256, lineage: other },
      ...{ lineagePrevious: null, from: null, first: { ...last.first, slot: 13 }, files: [shared] },
    });
    await lake.store.putIfAbsent(entryKey(6), bytes, sha256Of(bytes));
    const { findings } = await verify();
    expect(errors(findings)).toEqual([["file-shared", key]]);
    expect(findings[0]!.detail).toStartWith("entries 2 (main) and 6 (other) both name it");
  });

  test("rows that two lineages have written", async () => {
    const backfill = await lake.open({ lineage: { ...LIVE, kind: "backfill", start: 0, stop: 15 } });
    const blocks = [12, 13].map((slot) => testBlock(slot));
    await backfill.commit(stepOf(null, blocks[1]!), rollOf(blocks));
    const { findings } = await verify({ deep: true });
    expect(errors(findings)).toEqual([
      ["coverage-overlap", entryKey(6)],
      ["coverage-overlap", entryKey(6)],
      ["duplicate-rows", fileOf(1).key],
    ]);
    expect(findings.at(-1)!.detail).toStartWith("2 rows are repeats of others, among it and ");
  });
});

test("what a drop has taken out is told, and a compaction that loses a row is found", async () => {
  const { store } = lake;
  const workDir = lake.options().workDir;
  await dropRows({ store, workDir, dataset: "trades", where: "slot IN (10, 13)" });
  await dropRows({ store, workDir, dataset: "trades", where: "slot = 15" });
  const { ok, rows, revisions } = await verify({ deep: true });
  expect({ ok, rows, revisions }).toEqual({
    ok: true,
    rows: 7,
    revisions: [
      { lineage: "redecode/main/trades/10-15#1", dataset: "trades", rowsBefore: 5, rowsAfter: 3 },
      { lineage: "redecode/main/trades/15-16#1", dataset: "trades", rowsBefore: 1, rowsAfter: 0 },
    ],
  });
  const head = (await new Manifest(store).head())!;
  const file = fileOf(5);
  const bytes = encodeEntry({
    ...{ ...entries[4]!, number: head.entry.number + 1, previous: head.sha256, lineagePrevious: null, from: null },
    ...{ lineage: { ...LIVE, kind: "compaction", dataset: "trades" }, replaces: [file.key] },
    files: [{ ...file, key: file.key.replace(/[0-9a-f]{8}\./, "00000000."), rows: file.rows - 1 }],
  });
  await store.putIfAbsent(entryKey(head.entry.number + 1), bytes, sha256Of(bytes));
  expect((await verify()).findings[0]).toMatchObject({
    kind: "rows-changed",
    where: entryKey(head.entry.number + 1),
    detail: "1 rows of trades stand for 2",
  });
});

test("identity columns of the trades are what a lake's entries name", () => {
  expect(entries[0]!.datasets[0]).toMatchObject({ name: "trades", key: [...TRADES.key], order: [...TRADES.order] });
});
