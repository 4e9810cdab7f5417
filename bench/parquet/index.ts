/**
 * Rows to a Parquet file of the lake: ours against DuckDB's own COPY, which is the limit, and against what others write
 * Parquet with in JavaScript. The gate reads every file with DuckDB and compares all columns, row by row.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BenchRow, type Contender, compare } from "../harness.ts";
import { WRITERS, type WriterName } from "./writers.ts";

const ROUNDS = 5;

export async function run(): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), "bench-parquet-"));
  const contender = (name: WriterName, what: string): Contender => ({
    name,
    command: [process.execPath, join(import.meta.dir, "contender.ts"), name, what, join(folder, "out.parquet")],
  });
  const [ours, ...peers] = Object.keys(WRITERS) as [WriterName, ...WriterName[]];
  const comparison = (what: string) => ({
    ours: contender(ours, what),
    peers: peers.map((peer) => contender(peer, what)),
  });
  try {
    return [
      ...(await compare({ name: "parquet/write", unit: "rows/CPU s", rounds: ROUNDS, ...comparison("speed") })),
      // The same bytes every time.
      ...(await compare({ name: "parquet/size", unit: "rows/MB", rounds: 1, ...comparison("size") })),
    ];
  } finally {
    await rm(folder, { recursive: true });
  }
}
