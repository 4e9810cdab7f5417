/**
 * Goal: what is typed is asked, once it is a statement; mistakes do not end the shell; words with a dot steer it; names are
 * completed. Method: lines on a pipe instead of a terminal, and answers that are kept instead of given.
 */
import { describe, expect, test } from "bun:test";
import { Readable, Writable } from "node:stream";
import { CANDLES } from "../pipeline/datasets/candles.ts";
import { TRADES } from "../pipeline/datasets/trades.ts";
import { Fatal } from "../pipeline/errors.ts";
import { BufferOutput } from "./output.ts";
import { completions, runShell, type ShellSettings } from "./sql-shell.ts";

const DATASETS = [TRADES, CANDLES];

async function type(...lines: string[]) {
  const asked: { sql: string; settings: ShellSettings }[] = [];
  const [stdout, stderr] = [new BufferOutput(), new BufferOutput()];
  await runShell({
    stdout,
    stderr,
    input: Readable.from([lines.map((line) => `${line}\n`).join("")]),
    terminal: new Writable({ write: (_chunk, _encoding, done) => done() }),
    isTerminal: false,
    analytics: { datasets: async () => DATASETS },
    historyFile: "/nonexistent/history",
    initial: { format: "table", timing: false, files: false },
    answer: async (sql, settings) => {
      asked.push({ sql, settings: { ...settings } });
      if (sql.includes("wrong")) throw new Fatal("SQL_ERROR", "that is wrong");
    },
  });
  return { asked, queries: asked.map((a) => a.sql), shown: stderr.text };
}

describe("statements", () => {
  test("end with a semicolon, and span lines", async () => {
    const { queries } = await type("select 1;", "", "select", "  2", ";", "select 3; ");
    expect(queries).toEqual(["select 1;", "select\n  2\n;", "select 3; "]);
  });

  test("the last one of a script may lack it", async () => {
    expect((await type("select 1;", "select 2")).queries).toEqual(["select 1;", "select 2"]);
  });

  test("that fail are shown, and the next is asked", async () => {
    const { queries, shown } = await type("select wrong;", "select 1;");
    expect(queries).toHaveLength(2);
    expect(shown).toContain("that is wrong");
  });
});

describe("words with a dot", () => {
  test("steer what follows", async () => {
    const { asked } = await type("select 1;", ".format json", ".timing on", ".files on", "select 2;");
    expect(asked.map((a) => a.settings)).toEqual([
      { format: "table", timing: false, files: false },
      { format: "json", timing: true, files: true },
    ]);
  });

  test("tell what there is", async () => {
    const { shown } = await type(".tables", ".columns candles", ".help");
    expect(shown).toContain("trades\ncandles\n");
    expect(shown).toMatch(/^interval +u32 +\S/m);
    expect(shown).toContain(".format table|json|csv");
  });

  test("that are wrong say what is right", async () => {
    const { shown, queries } = await type(".columns trade", ".format xml", ".nonsense", "select 1;");
    expect(shown).toContain('Did you mean "trades"?');
    expect(shown).toContain(".format takes table or json or csv");
    expect(shown).toContain("there is no .nonsense");
    expect(queries).toHaveLength(1);
  });

  test(".quit leaves, and what stands after it is not asked", async () => {
    expect((await type("select 1;", ".quit", "select 2;")).queries).toEqual(["select 1;"]);
  });
});

describe("completion", () => {
  test("of tables after FROM", () => {
    expect(completions("select * from tr", DATASETS)).toEqual([["trades"], "tr"]);
    expect(completions("select * from ", DATASETS)[0]).toEqual(["trades", "candles"]);
  });

  test("of the columns of the tables that are named, also behind an alias", () => {
    expect(completions("select * from candles where volume_b", DATASETS)).toEqual([["volume_base"], "volume_b"]);
    expect(completions("select * from trades t where t.quote", DATASETS)).toEqual([["quote_amount"], "quote"]);
  });

  test("of keywords, as they are written", () => {
    expect(completions("SEL", DATASETS)).toEqual([["SELECT"], "SEL"]);
    expect(completions("sel", DATASETS)).toEqual([["select"], "sel"]);
  });
});
