/** One contender and one question in a process of its own: `bun contender.ts sorted|arrival|sqlite QUESTION FOLDER`. */
import { Database } from "bun:sqlite";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { openAnalytics } from "../../storage/analytics/analytics.ts";
import type { LakeFile, LakeSnapshot } from "../../storage/lake/reader.ts";
import { sha256Of } from "../../storage/lake/store.ts";
import { passesPerCpuSecond, report } from "../harness.ts";
import { QUESTIONS } from "./queries.ts";

const MAX_ROWS = 1_000_000;

type Answer = readonly (readonly unknown[])[];

/** Through the same code as `sluice sql`; the layouts differ in nothing but the files and what is known of them. */
async function asker(layout: string, folder: string): Promise<(sql: string) => Promise<Answer>> {
  const files = JSON.parse(await readFile(join(folder, `${layout}.json`), "utf8")) as LakeFile[];
  const none = { head: null, lineages: [], coverage: new Map(), coverageOfSources: new Map() };
  const snapshot: LakeSnapshot = { ...none, files: new Map([[TRADES.name, files]]) };
  const analytics = openAnalytics({
    lake: { name: layout, read: async () => snapshot, localPath: async (key) => join(folder, layout, key) },
    catalog: new Map([[TRADES.name, TRADES]]),
    workDir: join(folder, `work-${layout}`),
    memoryMb: 2_048,
    threads: 1,
  });
  return async (sql) => (await analytics.query(sql, { maxRows: MAX_ROWS, maxBytes: 1e9 })).rows;
}

function sqliteAsker(folder: string): (sql: string) => Promise<Answer> {
  const db = new Database(join(folder, "trades.sqlite"), { readonly: true, safeIntegers: true });
  db.exec("PRAGMA cache_size = -2000000; PRAGMA mmap_size = 8000000000");
  return async (sql) => db.prepare(sql).values() as unknown[][];
}

/** Whole numbers of any kind alike, and SQLite's 0 and 1 as the booleans they are. */
function digestOf(answer: Answer): string {
  const plain = (value: unknown) => (typeof value === "boolean" ? Number(value) : value);
  const text = JSON.stringify(answer.map((row) => row.map((value) => (value === null ? null : String(plain(value))))));
  return sha256Of(new TextEncoder().encode(text));
}

const [name = "sorted", question = "look-up", folder = ""] = process.argv.slice(2);
const { lake, sqlite } = QUESTIONS[question]!;
const sql = name === "sqlite" ? sqlite : lake;
const ask = name === "sqlite" ? sqliteAsker(folder) : await asker(name, folder);
let answer: Answer = [];
const speed = await passesPerCpuSecond(async () => {
  answer = await ask(sql);
});
if (answer.length === 0) throw new Error(`${question} has no answer`);
report(speed, digestOf(answer));
process.exit();
