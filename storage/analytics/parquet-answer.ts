/**
 * An answer as a Parquet file. DuckDB writes integers of 128 bits as DOUBLE, which rounds them: here a HUGEINT (also every
 * sum of integers) is DECIMAL(38, 0), or text where a value has more digits, and a UHUGEINT (a u128) is text, as in Arrow answers.
 */
import type { DuckDBConnection } from "@duckdb/node-api";
import { quoteName, quoteText } from "../lake/columns.ts";
import { distinctNames } from "./format.ts";
import { type AnswerColumn, interruptible, withSelect } from "./statement.ts";

/** Writes the whole answer to `path`. Throws what `interruptible` throws. */
export async function writeParquetAnswer(
  connection: DuckDBConnection,
  sql: string,
  path: string,
  signal?: AbortSignal,
): Promise<{ readonly rows: number }> {
  return interruptible(connection, signal, async () => {
    const columns = await withSelect(connection, sql, async (_, found) => found);
    const copy = async (huge: string) => {
      const to = `TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`;
      const copied = await connection.runAndReadAll(`COPY (${exactly(sql, columns, huge)}) ${to}`);
      return { rows: Number(copied.getRows()[0]![0]) };
    };
    try {
      return await copy("DECIMAL(38, 0)");
    } catch (error) {
      const isTooLong = error instanceof Error && /^Conversion Error: .*DECIMAL\(38,0\)/.test(error.message);
      if (!isTooLong || signal?.aborted === true) throw error;
      return copy("VARCHAR");
    }
  });
}

/** The query, of whatever kind (`DESCRIBE` is one), with every column in a type that Parquet has. */
function exactly(sql: string, columns: readonly AnswerColumn[], huge: string): string {
  const names = distinctNames(columns.map(({ name }) => name)).map(quoteName);
  const exact = names.map((name, i) => {
    const { type } = columns[i]!;
    const exactType = type.replaceAll(/\bUHUGEINT\b/g, "VARCHAR").replaceAll(/\bHUGEINT\b/g, huge);
    return type === exactType ? name : `CAST(${name} AS ${exactType}) AS ${name}`;
  });
  return `SELECT ${exact.join(", ")} FROM query(${quoteText(sql)}) AS answer(${names.join(", ")})`;
}
