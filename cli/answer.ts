/** `sluice answer`: the process in which one query from elsewhere is answered. Not for people: it speaks with its parent. */
import type { Command } from "commander";
import type { QueryResult } from "../storage/analytics/analytics.ts";
import type { ForeignFormat, ForeignJob, FromProcess } from "../storage/analytics/foreign.ts";
import type { LakeFile } from "../storage/lake/reader.ts";

export function register(program: Command): void {
  program
    .command("answer", { hidden: true })
    .description("answer one query from stdin, as a process of its own")
    .action(() => answerFromStdin(true));
}

/** `gated`: false only in tests of the other wall. */
export async function answerFromStdin(gated: boolean): Promise<void> {
  const { linesOf } = await import("../storage/analytics/lines.ts");
  const lines = linesOf(Bun.stdin.stream(), Number.POSITIVE_INFINITY);
  const next = async <T>() => JSON.parse(String((await lines.next()).value)) as T;
  const say = (message: FromProcess) => void process.stdout.write(`${JSON.stringify(message)}\n`);
  const job = await next<ForeignJob>();
  const localPath = async (key: string) => {
    say({ need: key });
    return (await next<{ path: string | null }>()).path;
  };
  try {
    const result = await answer(job, localPath, gated);
    const pieces = await piecesOf(job.format, result);
    const { briefSeen } = await import("../storage/analytics/seen.ts");
    say({ answer: { rows: result.rows.length, truncated: result.truncated, seen: briefSeen(result.seen) } });
    for (const piece of pieces) {
      say({ piece: typeof piece === "string" ? piece : Buffer.from(piece).toString("base64") });
    }
    say({ end: true });
  } catch (error) {
    say({ error: await toldOf(error, job) });
  }
}

async function answer(
  job: ForeignJob,
  localPath: (key: string) => Promise<string | null>,
  gated: boolean,
): Promise<QueryResult> {
  const [{ openAnalytics }, { STATE_TABLES }, { LocalLanes }] = await Promise.all([
    import("../storage/analytics/analytics.ts"),
    import("../storage/hot/layout.ts"),
    import("./local-lanes.ts"),
  ]);
  const files = new Map(job.lake.files as readonly (readonly [string, readonly LakeFile[]])[]);
  const snapshot = { ...job.lake, files, coverage: new Map(), coverageOfSources: new Map() };
  const hot = job.hot.map(({ source, folder, lanes }) => new LocalLanes(source, folder, lanes));
  const analytics = openAnalytics({
    lake: { name: job.lakeName, read: async () => snapshot, localPath },
    hot,
    catalog: new Map(job.catalog.map((spec) => [spec.name, spec])),
    state: STATE_TABLES.map(({ spec }) => spec),
    workDir: job.workDir,
    memoryMb: job.memoryMb,
    threads: 1,
    // What is foreign may not fill the disk.
    spill: false,
  });
  const { maxRows, maxBytes } = job;
  return analytics.query(job.sql, { maxRows, maxBytes, foreign: gated });
}

async function piecesOf(format: ForeignFormat, result: QueryResult): Promise<Iterable<string | Uint8Array>> {
  if (format === "arrow") return (await import("../storage/analytics/arrow-result.ts")).arrowPieces(result);
  const { csvPieces, jsonPieces } = await import("../storage/analytics/format.ts");
  return format === "csv" ? csvPieces(result) : jsonPieces(result);
}

/** What may be told of an error: no path of this machine, and of the query nothing but what is wrong with it. */
async function toldOf(error: unknown, job: ForeignJob): Promise<Extract<FromProcess, { error: unknown }>["error"]> {
  const { classify, describe } = await import("../pipeline/errors.ts");
  const { code, message, hint } = classify(error);
  const untold = { code: "SQL_FAILED", message: "the query could not be answered", cause: describe(error) };
  if (code === "HOT_MISSING") return { code, message, passes: true };
  if (!code.startsWith("SQL_")) return untold;
  const first = message.split("\n", 1)[0]!;
  const places = [job.workDir, job.lakeName, ...job.hot.map((own) => own.folder), process.cwd()];
  const tells = places.some((place) => place !== "" && first.includes(place)) || /(^|[\s"'])\//.test(first);
  if (tells) return untold;
  return { code, message: first, ...(hint === undefined ? {} : { hint }) };
}
