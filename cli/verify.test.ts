/**
 * Goal: the command's verdict follows the report: a sound lake is 0, a fault is named and is 1. Method: a small lake in a
 * temporary folder, sound and then damaged in one byte, through the function behind the command.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LakeFolder, LIVE } from "../storage/lake/lake-fixture.ts";
import type { VerifyReport } from "../storage/lake/verify-report.ts";
import { BufferOutput } from "./output.ts";
import { type VerifyCommandOptions, verify } from "./verify.ts";

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
  await lake.fill([
    [1, 2, 3],
    [4, 5],
  ]);
});
afterEach(() => lake.dispose());

async function run(options: Partial<VerifyCommandOptions> = {}) {
  const [stdout, stderr] = [new BufferOutput(), new BufferOutput()];
  const code = await verify(
    { store: lake.store, workDir: join(lake.root, "work"), json: true, ...options },
    { stdout, stderr },
  );
  return { code, text: stdout.text, report: () => JSON.parse(stdout.text) as VerifyReport, messages: stderr.text };
}

/** Changes the last byte of one data file. */
function damage(): string {
  const root = join(lake.root, "lake");
  const file = readdirSync(root, { recursive: true, encoding: "utf8" }).find((name) => name.endsWith(".parquet"))!;
  const bytes = readFileSync(join(root, file));
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(join(root, file), bytes);
  return file;
}

test("a sound lake", async () => {
  const { code, report, messages } = await run({ deep: true });
  expect(code).toBe(0);
  expect(report()).toMatchObject({ ok: true, deep: true, entries: 2, rows: 5, findings: [] });
  expect(messages).toContain("checking ");
  const { text } = await run({ json: false });
  expect(text).toMatch(/^manifest entries +2$/m);
  expect(text).toMatch(/^slots of trades +1-5$/m);
  expect(text).toEndWith("the lake is sound\n");
});

test("one changed byte", async () => {
  const file = damage();
  const { code, report } = await run();
  expect(code).toBe(1);
  expect(report().findings).toMatchObject([{ kind: "file-checksum", severity: "error", where: file }]);
  const { code: again, text } = await run({ json: false });
  expect(again).toBe(1);
  expect(text).toContain(`error file-checksum ${file}: `);
  expect(text).toEndWith("the lake is NOT sound: 1 fault\n");
});

test("the head that a report gives is what the next one can be held to", async () => {
  const { head } = (await run()).report();
  expect((await run({ expectedHead: head! })).code).toBe(0);
  await lake.store.delete("manifest/0000000002.json");
  expect((await run()).code).toBe(0);
  const cut = await run({ expectedHead: head! });
  expect(cut.code).toBe(1);
  expect(cut.report().findings.map((f) => f.kind)).toEqual(["entry-missing", "uncommitted"]);
});

test("files of commits under way are counted, not listed", async () => {
  const bytes = new Uint8Array([1]);
  const keys = [1, 2, 3].map((n) => `dataset=trades/date=2023-11-15/9${n}-99-0000000${n}.parquet`);
  for (const key of keys)
    await lake.store.putIfAbsent(key, bytes, new Bun.CryptoHasher("sha256").update(bytes).digest("hex"));
  const { code, text } = await run({ json: false });
  expect(code).toBe(0);
  expect(text).toContain("\n3 files of the last day are named by no entry: ");
  expect(text).not.toContain(keys[0]!);
  for (const key of keys) await lake.store.delete(key);
});

test("what nobody names is told, but is no fault", async () => {
  await lake.store.putIfAbsent(
    "notes.txt",
    new Uint8Array([1]),
    new Bun.CryptoHasher("sha256").update("\u0001").digest("hex"),
  );
  const { code, text } = await run({ json: false });
  expect(code).toBe(0);
  expect(text).toContain("notice stranger notes.txt: ");
});

test("many lineages of one kind are told as one", async () => {
  for (let start = 100; start < 180; start += 20) {
    await lake.fill([[start]], { lineage: { ...LIVE, kind: "backfill", start, stop: start + 20 } });
  }
  const { text, code } = await run({ json: false });
  expect(code).toBe(0);
  expect(text).toMatch(/^backfill\/main +4 lineages, up to slot 160$/m);
  expect(text).toMatch(/^live\/main\/all\/- +up to slot 5$/m);
});
