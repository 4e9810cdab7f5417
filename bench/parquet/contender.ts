/** One contender in a process of its own: `bun contender.ts NAME speed|size FILE`. */
import { statSync } from "node:fs";
import { quoteText } from "../../storage/lake/columns.ts";
import { Duck } from "../../storage/lake/duckdb.ts";
import { sha256Of } from "../../storage/lake/store.ts";
import { passesPerCpuSecond, report } from "../harness.ts";
import { makeInput, ROWS } from "./input.ts";
import { WRITERS, type WriterName } from "./writers.ts";

/** What a file holds, column by column and in its order, whatever physical types and encodings it uses. */
async function digestOf(path: string): Promise<string> {
  const duck = await Duck.open({ memoryMb: 1024 });
  const file = `read_parquet(${quoteText(path)}, file_row_number = true, hive_partitioning = false)`;
  const names = (await duck.rows(`DESCRIBE FROM ${file}`)).map(([name]) => `"${String(name)}"`);
  const sums = names.map((name) => `sum(hash(${name}::VARCHAR, file_row_number::BIGINT)::HUGEINT)`);
  const [row] = await duck.rows(`SELECT count(*), ${sums.join(", ")} FROM ${file}`);
  duck.close();
  return sha256Of(new TextEncoder().encode(`${names.join(" ")} ${row!.join(" ")}`));
}

const [name = "ours", what = "speed", path = ""] = process.argv.slice(2);
const write = await WRITERS[name as WriterName](makeInput());
await write(path);
const digest = await digestOf(path);
if (what === "size") report((ROWS * 1e6) / statSync(path).size, digest);
else report(ROWS * (await passesPerCpuSecond(async () => write(path))), digest);
process.exit();
