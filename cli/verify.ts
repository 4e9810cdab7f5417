/** `sluice verify`: checks the lake against its manifest, and says so in the exit code. */
import type { Command } from "commander";
import { Fatal } from "../pipeline/errors.ts";
import type { ObjectStore } from "../storage/lake/store.ts";
import type { Finding, Since, VerifyOptions, VerifyReport } from "../storage/lake/verify-report.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import { sourcesOfLake } from "./one-source.ts";
import { type CommandIo, EXIT, paint, table, toJson } from "./output.ts";
import { formatNumber, ProgressLine } from "./progress-line.ts";

interface Options {
  readonly deep?: boolean;
  readonly since?: string;
  readonly head?: string;
  readonly source?: string;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("verify")
    .description("check the lake: its manifest is unbroken, its files are what was written")
    .option("--deep", "also read all rows: counts, ranges, order, repeats")
    .option("--since <entry|time>", "check files of this entry and later ones, or with rows since a UTC time, only")
    .option("--head <number:sha256>", "the head of an earlier report, which must still be there unchanged")
    .option("--source <name>", "the lake of one source, where they have lakes of their own")
    .addHelpText(
      "after",
      `
Examples:
  sluice verify                                  sizes and checksums of all files
  sluice verify --deep --json > report.json      rows too, as JSON
  sluice verify --deep --since 2025-10-01        files with rows of that day or later; the manifest always whole
  sluice verify --since 118                      files that came with entry 118 or later
  sluice verify --head 118:9f2c...               nothing was cut off since that report

Exit code: 0 sound, 1 something is wrong (each fault is named).`,
    )
    .action(async (options: Options, command: Command) => {
      const { config: loaded, json } = context.load(command);
      const config = sourcesOfLake(loaded, options.source)[0]!;
      const [{ folders }, { lakeStore, requireFolder }] = await Promise.all([
        import("./folders.ts"),
        import("./lake.ts"),
      ]);
      await requireFolder(config);
      const store = await lakeStore(config);
      const code = await verify({ ...parsed(options), store, workDir: folders(config).temp, json }, context);
      context.setExitCode(code);
    });
}

function parsed({ deep, since, head }: Options): Pick<VerifyOptions, "deep" | "since" | "expectedHead"> {
  return {
    deep: deep === true,
    ...(since === undefined ? {} : { since: parseSince(since) }),
    ...(head === undefined ? {} : { expectedHead: parseHead(head) }),
  };
}

/** A whole number is an entry; what has the form of a date, with or without a time, is UTC. */
function parseSince(text: string): Since {
  if (/^\d+$/.test(text)) return { entry: wholeNumber("--since", text, 1) };
  const match = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)Z?)?$/.exec(text.trim());
  const time = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2] ?? "00:00"}Z`);
  if (!Number.isNaN(time)) return { time: Math.floor(time / 1000) };
  throw new Fatal("USAGE", "--since takes the number of an entry, or a UTC date or time", {
    hint: "For example --since 118, --since 2025-10-01 or --since 2025-10-01T12:00.",
  });
}

function parseHead(text: string): { number: number; sha256: string } {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text.trim().toLowerCase());
  if (match !== null && Number(match[1]) > 0) return { number: Number(match[1]), sha256: match[2]! };
  throw new Fatal("USAGE", "--head takes the number and the checksum of an entry, as an earlier report gives them", {
    hint: "For example --head 118:9f2c..., with all 64 digits.",
  });
}

export interface VerifyCommandOptions extends Pick<VerifyOptions, "deep" | "since" | "expectedHead" | "workDir"> {
  readonly store: ObjectStore;
  readonly json: boolean;
}

/** Prints the report; resolves to the exit code. */
export async function verify(options: VerifyCommandOptions, { stdout, stderr }: CommandIo): Promise<number> {
  const { verifyLake } = await import("../storage/lake/verify.ts");
  const { store, json, ...what } = options;
  const line = new ProgressLine(stderr);
  const report = await verifyLake(store, {
    ...what,
    onProgress: ({ phase, done, total }) =>
      line.show(() => `checking ${phase}: ${formatNumber(done)} of ${formatNumber(total)}`),
  }).finally(() => line.end());
  stdout.write(json ? `${toJson(report)}\n` : summary(report, { stdout }));
  return report.ok ? EXIT.ok : EXIT.failed;
}

function summary(report: VerifyReport, { stdout }: Pick<CommandIo, "stdout">): string {
  const { head, lineages, coverage } = report;
  const figures: [string, string][] = [
    ["lake", report.lake],
    ["head", head === null ? "none: the lake is empty" : `${head.number}:${head.sha256}`],
    ["manifest entries", formatNumber(report.entries)],
    ["files", formatNumber(report.files)],
    ["rows", formatNumber(report.rows)],
    ["bytes", formatNumber(report.bytes)],
    ["checked", checkedText(report)],
    ...lineageFigures(lineages),
    ...report.revisions.map(({ lineage, dataset, rowsBefore, rowsAfter }): [string, string] => [
      lineage,
      `${formatNumber(rowsBefore)} rows of ${dataset} became ${formatNumber(rowsAfter)}`,
    ]),
    ...Object.entries(coverage).map(([dataset, ranges]): [string, string] => [
      `slots of ${dataset}`,
      ranges.map(({ first, last }) => `${first}-${last}`).join(", "),
    ]),
  ];
  const told = report.findings.filter(({ kind }) => kind !== "uncommitted");
  const found = told.map((finding) => `${findingLine(finding, { stdout })}\n`).join("");
  const pending = pendingLine(report.findings.length - told.length);
  const errors = report.findings.filter((f) => f.severity === "error").length;
  const verdict = report.ok
    ? paint(stdout, "green", "the lake is sound")
    : paint(stdout, "red", `the lake is NOT sound: ${errors} ${errors === 1 ? "fault" : "faults"}`);
  return `${table(stdout, [{ name: "what" }, { name: "value" }], figures)}${found}${pending}${verdict}\n`;
}

/** Years of history have thousands of lineages: more than a few of one kind and source are told as one. All are in the JSON. */
function lineageFigures(lineages: VerifyReport["lineages"]): [string, string][] {
  const groups = Map.groupBy(lineages, ({ lineage }) => lineage.split("/").slice(0, 2).join("/"));
  return [...groups].flatMap(([which, own]): [string, string][] => {
    if (own.length <= FEW_LINEAGES) return own.map(({ lineage, slot }) => [lineage, `up to slot ${slot}`]);
    const slot = Math.max(...own.map((one) => one.slot));
    return [[which, `${formatNumber(own.length)} lineages, up to slot ${slot}`]];
  });
}

const FEW_LINEAGES = 3;

function checkedText({ deep, files, filesChecked }: VerifyReport): string {
  const part = filesChecked === files ? "" : `${formatNumber(filesChecked)} of ${formatNumber(files)} `;
  return `manifest, ${part}files${deep ? ", rows" : ""}`;
}

/** While stages run there nearly always are some: they are no damage, and not worth a line each. */
function pendingLine(files: number): string {
  if (files === 0) return "";
  const what = files === 1 ? "1 file of the last day is" : `${formatNumber(files)} files of the last day are`;
  return `${what} named by no entry: commits under way, or left by a crash\n`;
}

function findingLine({ severity, kind, where, detail }: Finding, { stdout }: Pick<CommandIo, "stdout">): string {
  const word = severity === "error" ? paint(stdout, "red", severity) : paint(stdout, "yellow", severity);
  return `${word} ${kind} ${where}: ${detail}`;
}
