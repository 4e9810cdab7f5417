/**
 * Questions over 20 million trades: the lake's files as `sluice sql` reads them, against SQLite with indexes, and against the
 * same rows in Parquet that is neither sorted by mint nor pruned by a manifest. The gate: all three give the same answer.
 * Making the data takes minutes and 6 GB: `SLUICE_BENCH_LAKE` names a folder in which they are kept; `SLUICE_BENCH_ROWS` has fewer.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BenchRow, type Contender, compare } from "../harness.ts";
import { prepare } from "./data.ts";
import { QUESTIONS } from "./queries.ts";

const ROUNDS = 3;
const ROWS = Number(process.env["SLUICE_BENCH_ROWS"] ?? 20_000_000);

export async function run(): Promise<BenchRow[]> {
  const kept = process.env["SLUICE_BENCH_LAKE"];
  const folder = kept ?? (await mkdtemp(join(tmpdir(), "bench-lake-")));
  try {
    const ready = join(folder, `ready-${ROWS}`);
    if (!existsSync(ready)) {
      console.error(`making ${ROWS} rows in ${folder}`);
      await prepare(folder, ROWS);
      await writeFile(ready, "");
    }
    const rows: BenchRow[] = [];
    for (const question of Object.keys(QUESTIONS)) {
      const contender = (name: string): Contender => ({
        name,
        command: [process.execPath, join(import.meta.dir, "contender.ts"), name, question, folder],
      });
      const peers = [contender("arrival"), contender("sqlite")];
      const unit = "queries/CPU s";
      rows.push(
        ...(await compare({ name: `lake/${question}`, unit, rounds: ROUNDS, ours: contender("sorted"), peers })),
      );
    }
    return rows;
  } finally {
    if (kept === undefined) await rm(folder, { recursive: true, force: true });
  }
}
