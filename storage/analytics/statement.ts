/** One statement on a connection of its own: that it only reads, how it is stopped, and whose fault an error is. */
import { type DuckDBConnection, type DuckDBPreparedStatement, StatementType } from "@duckdb/node-api";
import { Fatal, SluiceError } from "../../pipeline/errors.ts";

/** Runs `action`, which `signal` stops. Errors are sorted by whose fault they are. */
export async function interruptible<T>(
  connection: DuckDBConnection,
  signal: AbortSignal | undefined,
  action: () => Promise<T>,
): Promise<T> {
  const stop = () => connection.interrupt();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    signal?.throwIfAborted();
    return await action();
  } catch (error) {
    throw sortError(error, signal);
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** A column of an answer, with its SQL type. */
export interface AnswerColumn {
  readonly name: string;
  readonly type: string;
}

/** Runs `action` with one statement, and one that only reads, and the columns of its answer. It is planned once, here. */
export async function withSelect<T>(
  connection: DuckDBConnection,
  sql: string,
  action: (select: DuckDBPreparedStatement, columns: readonly AnswerColumn[]) => Promise<T>,
): Promise<T> {
  const statements = await connection.extractStatements(sql);
  if (statements.count !== 1) throw sqlError(`one statement is answered at a time, not ${statements.count}`);
  const prepared = await statements.prepare(0);
  try {
    if (prepared.statementType !== StatementType.SELECT)
      throw sqlError(`only SELECT is answered, not ${StatementType[prepared.statementType]}`);
    const columns = Array.from({ length: prepared.columnCount }, (_, i) => ({
      name: prepared.columnName(i),
      type: prepared.columnType(i).toString(),
    }));
    return await action(prepared, columns);
  } finally {
    prepared.destroySync();
  }
}

export function sqlError(message: string, cause?: unknown): Fatal {
  return new Fatal("SQL_ERROR", message, {
    hint: '`SHOW TABLES` lists what there is, `DESCRIBE trades` its columns. Names that are words of SQL go in double quotes: "order".',
    cause,
  });
}

function sortError(error: unknown, signal: AbortSignal | undefined): Error {
  if (error instanceof SluiceError) return error;
  if (signal?.aborted === true) return new Fatal("SQL_STOPPED", "the query was stopped", { cause: error });
  const message = error instanceof Error ? error.message : String(error);
  if (message.includes("Out of Memory Error")) {
    const hint = "Ask for less at a time, or raise the memory limit of queries.";
    return new Fatal("SQL_MEMORY", "the query needs more memory than it may use", { hint, cause: error });
  }
  if (message === "Error in native callback") return sqlError("there is no statement", error);
  return sqlError(message, error);
}
