/** `sluice tiers`: what lies in which tier, the rules, and what of it is due to go; changes nothing. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import type { Config } from "../pipeline/config.ts";
import type { HotReader } from "../storage/hot/reader.ts";
import type { CopiesReport } from "../storage/lake/copies.ts";
import type { LakeFile } from "../storage/lake/reader.ts";
import type { CliContext } from "./context.ts";
import { folders } from "./folders.ts";
import { sourcesOfLake } from "./one-source.ts";
import { type CommandIo, EXIT, table, toJson } from "./output.ts";
import { formatNumber } from "./progress-line.ts";

const DAY_S = 86_400;

export function register(program: Command, context: CliContext): void {
  program
    .command("tiers")
    .description(
      "what the hot stores, this host and the lake hold, how old it is, and what is due to go; changes nothing",
    )
    .option("--source <name>", "one source, where they have lakes of their own")
    .addHelpText(
      "after",
      `
The rules are the settings retention.*; running stages apply them every ten minutes. Events leave a hot store only when the lake
is seen to have them; copies of a bucket's files leave this host only when the bucket has them.`,
    )
    .action(async (options: { source?: string }, command: Command) => {
      const { config, json } = context.load(command);
      const found = await Promise.all(sourcesOfLake(config, options.source).map(tiersOf));
      context.stdout.write(json ? `${toJson(found)}\n` : found.map((tiers) => tiersText(tiers, context)).join("\n"));
      context.setExitCode(EXIT.ok);
    });
}

interface Amount {
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
}

export interface Tiers {
  readonly source: string;
  readonly rules: { readonly hotDays: number; readonly warmDays: number; readonly dryRun: boolean };
  /** Of the lanes on this host: events held, those of them that are older than the rule, and the oldest one's block time. */
  readonly hot: readonly {
    readonly lane: number;
    readonly events: number;
    readonly due: number;
    readonly oldest: number | null;
  }[];
  /** The lake by the age of its rows, counted from its newest one. */
  readonly lake: { readonly name: string; readonly young: Amount; readonly middle: Amount; readonly old: Amount };
  /** Copies of a bucket's files on this host; null where the lake is a folder. */
  readonly copies: { readonly kept: CopiesReport["kept"]; readonly due: { files: number; bytes: number } } | null;
}

export async function tiersOf(config: Config): Promise<Tiers> {
  const [{ lakeStore, lakeCopies }, { LakeReader }] = await Promise.all([
    import("./lake.ts"),
    import("../storage/lake/reader.ts"),
  ]);
  const store = await lakeStore(config);
  const { files } = await new LakeReader(store).read();
  const rules = {
    hotDays: config["retention.hotDays"],
    warmDays: config["retention.warmDays"],
    dryRun: config["retention.dryRun"],
  };
  const copies = await (await lakeCopies(config))?.trim(rules.warmDays * DAY_S, true);
  return {
    source: config["source.name"],
    rules,
    hot: await hotTiers(config),
    lake: { name: store.name, ...byAge([...files.values()].flat(), rules) },
    copies: copies === undefined ? null : copiesTier(copies),
  };
}

async function hotTiers(config: Config): Promise<Tiers["hot"]> {
  const [{ laneFile }, { checkLaneFiles }, { HotReader }] = await Promise.all([
    import("../storage/hot/file.ts"),
    import("../storage/hot/lane-files.ts"),
    import("../storage/hot/reader.ts"),
  ]);
  checkLaneFiles(folders(config).hot, config.lanes);
  const lanes = Array.from({ length: config.lanes }, (_, lane) => lane);
  return lanes.flatMap((lane) => {
    const file = laneFile(folders(config).hot, lane);
    if (!existsSync(file)) return [];
    const reader = new HotReader(file);
    try {
      return [{ lane, ...hotTier(reader, config["retention.hotDays"]) }];
    } finally {
      reader.close();
    }
  });
}

function hotTier(reader: HotReader, days: number) {
  const headTime = reader.stand()?.headTime ?? 0;
  const names = [...reader.appended().keys()];
  const count = (since: number) => names.reduce((sum, name) => sum + reader.countSince(name, since), 0);
  const oldest = names.map((name) => reader.reach(name)?.time).filter((time) => time !== undefined);
  const events = count(0);
  const due = days === 0 ? 0 : events - count(headTime - days * DAY_S);
  return { events, due, oldest: oldest.length === 0 ? null : Math.min(...oldest) };
}

function byAge(files: readonly LakeFile[], { hotDays, warmDays }: Tiers["rules"]) {
  const newest = files.reduce((time, file) => Math.max(time, file.blockTime.max), 0);
  const age = (file: LakeFile) => newest - file.blockTime.max;
  const of = (some: readonly LakeFile[]): Amount => ({
    files: some.length,
    rows: some.reduce((sum, { rows }) => sum + rows, 0),
    bytes: some.reduce((sum, { bytes }) => sum + bytes, 0),
  });
  const [hot, warm] = [hotDays * DAY_S, Math.max(hotDays, warmDays) * DAY_S];
  return {
    young: of(files.filter((file) => age(file) <= hot)),
    middle: of(files.filter((file) => age(file) > hot && age(file) <= warm)),
    old: of(files.filter((file) => age(file) > warm)),
  };
}

function copiesTier({ kept, removed }: CopiesReport): NonNullable<Tiers["copies"]> {
  return { kept, due: { files: removed.length, bytes: removed.reduce((sum, { bytes }) => sum + bytes, 0) } };
}

function tiersText({ source, rules, hot, lake, copies }: Tiers, { stdout }: Pick<CommandIo, "stdout">): string {
  const { hotDays, warmDays, dryRun } = rules;
  const amount = ({ files, rows, bytes }: Amount) =>
    `${formatNumber(files)} files, ${formatNumber(rows)} rows, ${formatNumber(bytes / 1e6)} MB`;
  const rows: [string, string][] = [
    ...hot.map(({ lane, events, due, oldest }): [string, string] => {
      const since = oldest === null ? "" : ` since ${new Date(oldest * 1000).toISOString()}`;
      return [
        `hot, lane ${lane}`,
        `${formatNumber(events)} events${since}, ${formatNumber(due)} older than ${hotDays} days`,
      ];
    }),
    ["lake", lake.name],
    [`lake, up to ${hotDays} days`, amount(lake.young)],
    [`lake, up to ${Math.max(hotDays, warmDays)} days`, amount(lake.middle)],
    ["lake, older", amount(lake.old)],
  ];
  if (copies !== null) {
    const { kept, due } = copies;
    rows.push(["copies here", `${formatNumber(kept.files)} files, ${formatNumber(kept.bytes / 1e6)} MB`]);
    rows.push([
      `copies older than ${warmDays} days`,
      `${formatNumber(due.files)} files, ${formatNumber(due.bytes / 1e6)} MB`,
    ]);
  }
  const note = dryRun ? "retention.dryRun is set: nothing is removed.\n" : "";
  return `${table(stdout, [{ name: `source ${source}` }, { name: "holds" }], rows)}${note}`;
}
