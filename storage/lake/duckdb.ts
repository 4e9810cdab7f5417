/**
 * DuckDB with its limits set, and rows fed to it. Rows are not staged: SQL reads them from `fed_rows()`, a table function
 * that is called for one chunk of 2,048 rows at a time, so memory is what DuckDB needs for the statement and no more.
 */
import {
  type DuckDBConnection,
  type DuckDBDataChunk,
  DuckDBInstance,
  type DuckDBResult,
  DuckDBTableFunction,
  type DuckDBValue,
} from "@duckdb/node-api";
import bindings from "@duckdb/node-bindings";
import { Fatal, SluiceError, Transient } from "../../pipeline/errors.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import type { LakeColumn } from "./columns.ts";
import { CHUNK_ROWS, type Gather } from "./vectors.ts";

export interface DuckOptions {
  /** DuckDB's own memory limit, MB. Default 128. */
  readonly memoryMb?: number;
  /** Default 1: more threads share the machine with the pipeline, and gain little on files of this size. */
  readonly threads?: number;
  /** Where DuckDB may spill what exceeds its memory; it must exist. Without it such a statement fails. */
  readonly spillDir?: string;
}

export const DUCK_DEFAULTS = { memoryMb: 128, threads: 1 } as const;

/** Rows for `fed_rows()`: a table and the rows of it to feed, in that order. */
export interface Feed {
  readonly table: Table;
  readonly rows: Uint32Array;
  /** Rows of a chunk at most, for wide rows. Default, and never more than, DuckDB's vector size of 2,048. */
  readonly chunkRows?: number;
}

interface Feeding {
  readonly columns: readonly LakeColumn[];
  readonly feeds: Iterator<Feed>;
  current: Feed | null;
  /** Of the current one, by column. */
  gathers: readonly Gather[];
  at: number;
  error: unknown;
}

export class Duck {
  private readonly instance: DuckDBInstance;
  /** For what is not covered here. `fed_rows()` works only inside `feed`. */
  readonly connection: DuckDBConnection;
  private feeding: Feeding | null = null;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.instance = instance;
    this.connection = connection;
  }

  /** An empty database in memory that loads no extensions by itself. */
  static async open(options: DuckOptions = {}): Promise<Duck> {
    const instance = await DuckDBInstance.create(":memory:", {
      memory_limit: `${options.memoryMb ?? DUCK_DEFAULTS.memoryMb}MB`,
      threads: String(options.threads ?? DUCK_DEFAULTS.threads),
      temp_directory: options.spillDir ?? "",
      // Files hold rows in the order they are fed, whatever the number of threads.
      preserve_insertion_order: "true",
      autoinstall_known_extensions: "false",
      autoload_known_extensions: "false",
      allow_community_extensions: "false",
      allow_persistent_secrets: "false",
      // It knows a file by its path and time: a file written anew within the time's resolution is read with old bytes.
      enable_external_file_cache: "false",
    });
    const duck = new Duck(instance, await instance.connect());
    duck.connection.registerTableFunction(duck.fedRows());
    return duck;
  }

  close(): void {
    this.connection.closeSync();
    this.instance.closeSync();
  }

  async run(sql: string): Promise<void> {
    await guard(() => this.connection.run(sql));
  }

  /** All rows of a small result. */
  async rows(sql: string): Promise<DuckDBValue[][]> {
    return guard(async () => (await this.connection.runAndReadAll(sql)).getRows());
  }

  /** A large result in chunks, on a connection of its own: several can be read side by side. Close it. */
  async stream(sql: string): Promise<{ readonly result: DuckDBResult; close(): void }> {
    const connection = await this.instance.connect();
    try {
      return { result: await guard(() => connection.stream(sql)), close: () => connection.closeSync() };
    } catch (error) {
      connection.closeSync();
      throw error;
    }
  }

  /** Runs `sql`, in which `fed_rows()` yields the rows of `feeds` in the columns given. One statement at a time. */
  async feed(columns: readonly LakeColumn[], feeds: Iterable<Feed>, sql: string): Promise<void> {
    if (this.feeding !== null) throw new Error("a statement is being fed already");
    const feeding: Feeding = {
      columns,
      feeds: feeds[Symbol.iterator](),
      current: null,
      gathers: [],
      at: 0,
      error: null,
    };
    this.feeding = feeding;
    try {
      await guard(() => this.connection.run(sql));
    } catch (error) {
      throw feeding.error ?? error;
    } finally {
      this.feeding = null;
      feeding.feeds.return?.();
    }
  }

  private fedRows(): DuckDBTableFunction {
    return DuckDBTableFunction.create({
      name: "fed_rows",
      bindFunction: (info) => {
        if (this.feeding === null) throw new Error("fed_rows() is internal");
        for (const column of this.feeding.columns) info.addResultColumn(column.name, column.type);
      },
      initFunction: (info) => info.setMaxThreads(1),
      mainFunction: (_, chunk) => {
        const feeding = this.feeding;
        if (feeding === null) throw new Error("fed_rows() is internal");
        try {
          fill(feeding, chunk);
        } catch (error) {
          feeding.error = error;
          throw error;
        }
      },
    });
  }
}

/** Fills a chunk from one feed, and moves on to the next when it is used up. An empty chunk ends the scan. */
function fill(feeding: Feeding, chunk: DuckDBDataChunk): void {
  while (feeding.current === null || feeding.at >= feeding.current.rows.length) {
    const next = feeding.feeds.next();
    if (next.done === true) {
      chunk.rowCount = 0;
      return;
    }
    const { table } = next.value;
    feeding.current = next.value;
    feeding.gathers = feeding.columns.map(({ source, gather }) => gather(table.columns[source]!));
    feeding.at = 0;
  }
  const { rows, chunkRows = CHUNK_ROWS } = feeding.current;
  const count = Math.min(CHUNK_ROWS, chunkRows, rows.length - feeding.at);
  chunk.rowCount = count;
  for (const [index, gather] of feeding.gathers.entries()) {
    gather(bindings.data_chunk_get_vector(chunk.chunk, index), rows, feeding.at, count);
  }
  feeding.at += count;
}

/** DuckDB's errors are plain ones: sorts them by what can be done about them. */
async function guard<Result>(action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    if (/No space left|Disk quota/i.test(message)) {
      throw new Transient("LAKE_DISK_FULL", message, {
        hint: "Free space on the data disk; writing resumes by itself.",
      });
    }
    if (message.startsWith("Out of Memory Error")) {
      throw new Fatal("LAKE_MEMORY", firstLine(message), {
        hint: "Raise the lake's DuckDB memory limit, or lower the rows or bytes of a roll.",
        cause: error,
      });
    }
    throw new Fatal("LAKE_DUCKDB", firstLine(message), { cause: error });
  }
}

function firstLine(message: string): string {
  return message.split("\n", 1)[0]!;
}
