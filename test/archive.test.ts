/**
 * `ARCHIVE.md`. Goal: whoever has the lake and no Sluice can read and verify it exactly as that page says, and its checks find
 * damage; readers that share no code with DuckDB see the same rows. Method: every block of the page is run, in order, in the
 * folder of a lake with a live lineage, a backfill and a compaction; then on copies of it that are damaged.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { compactLake } from "../storage/lake/compaction.ts";
import { backfillLineage } from "../storage/lake/history.ts";
import { LakeFolder } from "../storage/lake/lake-fixture.ts";
import { type LakeFile, LakeReader } from "../storage/lake/reader.ts";

const page = await readFile(join(import.meta.dir, "..", "ARCHIVE.md"), "utf8");
const blocksOf = (language: string) =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map((match) => match[1]!);
const SQL = blocksOf("sql");
const isCheck = (block: string) => block.startsWith("-- no rows");

let lake: LakeFolder;
let folder: string;
let files: LakeFile[];
beforeAll(async () => {
  lake = await LakeFolder.make();
  await lake.fill([
    [300, 301],
    [305, 310],
  ]);
  const lineage = backfillLineage("main", 100, 300);
  await lake.fill([[100, 120], [140]], { lineage });
  const end = await lake.open({ lineage });
  await end.closeRange("ab");
  await lake.fill([[50]], { lineage: backfillLineage("main", 40, 60) });
  expect(await compactLake({ store: lake.store, workDir: lake.root })).toHaveLength(1);
  folder = join(lake.root, "lake");
  files = (await new LakeReader(lake.store).read()).files.get("trades")!.slice();
});
afterAll(() => lake.dispose());

/** Rows of the last statement of each block. */
async function run(where: string, blocks: readonly string[] = SQL): Promise<unknown[][][]> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "plain-duckdb.ts")], {
    cwd: where,
    stdin: new Blob([JSON.stringify(blocks)]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, trouble] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(trouble);
  return JSON.parse(out) as unknown[][][];
}

const sh = (where: string, script: string) => Bun.spawnSync(["sh", "-c", script], { cwd: where }).exitCode;

describe("a sound lake", () => {
  test("passes every check, is read, and says what it covers", async () => {
    expect(SQL.filter(isCheck).length).toBeGreaterThanOrEqual(4);
    const answers = await run(folder);
    for (const [i, block] of SQL.entries()) if (isCheck(block)) expect([block, answers[i]]).toEqual([block, []]);
    expect(answers[1]!.map(([, trades]) => Number(trades)).every((trades) => trades > 0)).toBe(true);
    expect(answers[1]).toHaveLength(3);
    expect(answers.at(-1)!.map(([source, first, last]) => [source, Number(first), Number(last)])).toEqual([
      ["main", 40, 50],
      ["main", 100, 310],
    ]);
    for (const block of blocksOf("sh")) expect(sh(folder, block)).toBe(0);
    await rm(join(folder, "lake.sha256"));
  });

  test("is the same to hyparquet", async () => {
    let seen = 0;
    for (const { key, rows, slot } of files) {
      const bytes = await readFile(join(folder, key));
      const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
      const ZSTD = (input: Uint8Array) => new Uint8Array(Bun.zstdDecompressSync(Uint8Array.from(input)));
      const found = await parquetReadObjects({ file, compressors: { ZSTD } });
      expect(found.length).toBe(rows);
      expect(found.map((row) => Number(row["slot"])).sort((a, b) => a - b)[0]).toBe(slot.min);
      for (const row of found) expect(row["kind"]).toBe(`${row["slot"]}a`);
      seen += found.length;
    }
    expect(seen).toBe(8);
  });

  test("is the same to pyarrow, where Python has it", () => {
    const [script] = blocksOf("python");
    const python = process.env["SLUICE_TEST_PYTHON"] ?? "python3";
    const has = Bun.spawnSync(["sh", "-c", `${python} -c 'import pyarrow'`]).exitCode === 0;
    if (!has) {
      process.stderr.write(
        "there is no pyarrow here: what it reads is not tested (SLUICE_TEST_PYTHON names another Python)\n",
      );
      return;
    }
    const answer = Bun.spawnSync([python, "-c", script!], { cwd: folder });
    expect(answer.stderr.toString()).toBe("");
    expect(answer.stdout.toString()).toBe("8 rows\n");
  });
});

describe("damage is found", () => {
  /** A copy of the lake, damaged; which of the page's checks find something. */
  async function damaged(damage: (copy: string) => Promise<void>): Promise<string[]> {
    const copy = await mkdtemp(join(tmpdir(), "archive-"));
    try {
      await cp(folder, copy, { recursive: true });
      await damage(copy);
      const answers = await run(copy);
      const found = SQL.flatMap((block, i) =>
        isCheck(block) && answers[i]!.length > 0 ? [block.split("\n")[0]!] : [],
      );
      const sums = blocksOf("sh").map((block) => sh(copy, block));
      return [...found, ...(sums.every((code) => code === 0) ? [] : ["sha256sum"])];
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  }
  const entry = (copy: string, number: number) => join(copy, "manifest", `${String(number).padStart(10, "0")}.json`);
  const edit = async (path: string, change: (text: string) => string) =>
    writeFile(path, change(await readFile(path, "utf8")));

  test("an entry edited", async () => {
    const found = await damaged((copy) => edit(entry(copy, 2), (text) => text.replace(/"cursor":"/, '"cursor":"x')));
    expect(found).toEqual([expect.stringContaining("names the checksum of the one before")]);
  });

  test("an entry gone", async () => {
    const found = await damaged((copy) => rm(entry(copy, 5)));
    expect(found).toContainEqual(expect.stringContaining("numbered without a gap"));
  });

  test("a byte flipped in a file", async () => {
    const found = await damaged(async (copy) => {
      const path = join(copy, files[0]!.key);
      const bytes = await readFile(path);
      // In the writer's name, at the end of the footer: the rows are still read.
      bytes[bytes.length - 20]! ^= 1;
      await writeFile(path, bytes);
    });
    expect(found).toEqual(["sha256sum"]);
  });

  test("a file in place of another", async () => {
    const [a, b] = [files[0]!, files.at(-1)!];
    const found = await damaged((copy) => cp(join(folder, a.key), join(copy, b.key)));
    expect(found).toContain("sha256sum");
    expect(found).toContainEqual(expect.stringContaining("each in the slots of its file"));
    expect(found).toContainEqual(expect.stringContaining("none is there twice"));
  });
});
