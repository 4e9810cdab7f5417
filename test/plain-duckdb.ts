/** For `archive.test.ts`: DuckDB without any code of ours, in a process whose folder is the lake. Statements in, rows out. */
import { DuckDBInstance } from "@duckdb/node-api";

const blocks = JSON.parse(await Bun.stdin.text()) as string[];
const connection = await (await DuckDBInstance.create(":memory:")).connect();
const answers: unknown[][] = [];
for (const block of blocks) {
  const statements = await connection.extractStatements(block);
  let rows: unknown[][] = [];
  for (let i = 0; i < statements.count; i++) {
    const prepared = await statements.prepare(i);
    rows = (await prepared.runAndReadAll()).getRowsJson();
  }
  answers.push(rows);
}
process.stdout.write(JSON.stringify(answers));
