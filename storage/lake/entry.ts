/**
 * The format of a manifest entry, version 1: what was added to the lake in one commit. Entries are the truth about the
 * lake; a file that no entry names does not belong to it. An entry is one line of JSON, never changed once written, with
 * nothing in it that depends on the clock or the machine.
 */
import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { type ColumnSpec, type ColumnType, type DatasetSpec, WIDTH } from "../../pipeline/datasets/dataset.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { sameBlock } from "../../pipeline/position.ts";
import type { SlotRange } from "./coverage.ts";
import { isKey } from "./store.ts";

/** How many blocks `recent` holds at most. */
export const RECENT_BLOCKS = 16;

const strict = { additionalProperties: false };
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Sha256 = Type.String({ pattern: "^[0-9a-f]{64}$" });
const Name = Type.String({ pattern: "^[A-Za-z0-9_.-]{1,64}$" });
const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const RangeOf = <T extends TSchema>(schema: T) => Type.Object({ min: schema, max: schema }, strict);

const BlockSchema = Type.Object(
  { slot: Count, hash: Type.String(), time: Type.Integer({ description: "Block time, Unix seconds." }) },
  strict,
);

const PositionSchema = Type.Object(
  { slot: Count, hash: Type.String(), cursor: Type.String(), moduleHash: Type.String() },
  strict,
);

const LineageSchema = Type.Object(
  {
    kind: Type.Union(
      ["live", "backfill", "compaction", "redecode"].map((kind) => Type.Literal(kind as LineageKind)),
      {
        description: "live and backfill add coverage; compaction and redecode replace files of what is covered.",
      },
    ),
    source: Name,
    dataset: Type.String({ pattern: "^[A-Za-z0-9_]{1,64}$", description: '"all", or the one dataset it writes.' }),
    start: Nullable(Count),
    stop: Nullable(Count),
    revision: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: "Of a re-decode, or a compaction across segments: which one of its range, counted from 1.",
      }),
    ),
  },
  { ...strict, description: "Who writes: entries of one lineage follow each other's positions." },
);

const DatasetSchema = Type.Object(
  {
    name: Type.String({ pattern: "^[A-Za-z0-9_]{1,64}$" }),
    version: Count,
    columns: Type.Record(Type.String(), Type.String({ pattern: `^(${Object.keys(WIDTH).join("|")})\\??$` }), {
      description: 'Type by column, in order; "?" marks one that may be null. Types: see `datasets/dataset.ts`.',
    }),
    key: Type.Array(Type.String(), { description: "Columns that tell a row from all others." }),
    order: Type.Array(Type.String(), { description: "Columns that order the rows of a file, nulls last." }),
  },
  strict,
);

const FileSchema = Type.Object(
  {
    key: Type.String(),
    dataset: Type.String(),
    date: Type.String({ pattern: "^-?[0-9]{4,6}-[0-9]{2}-[0-9]{2}$", description: "UTC date of all its rows." }),
    rows: Type.Integer({ minimum: 1 }),
    bytes: Type.Integer({ minimum: 1 }),
    sha256: Sha256,
    slot: RangeOf(Count),
    blockTime: RangeOf(Type.Integer()),
    mint: Nullable(RangeOf(Type.String())),
  },
  strict,
);

const EntrySchema = Type.Object(
  {
    format: Type.Literal("sluice-lake"),
    version: Type.Literal(1),
    number: Type.Integer({ minimum: 1, description: "Entries count from 1 without gaps." }),
    previous: Nullable(Sha256),
    lineage: LineageSchema,
    lineagePrevious: Nullable(Type.Integer({ minimum: 1, description: "Number of the lineage's entry before." })),
    from: Nullable(PositionSchema),
    to: PositionSchema,
    first: BlockSchema,
    last: BlockSchema,
    blocks: Type.Integer({
      minimum: 0,
      description: "Blocks received; a filtered stream leaves out slots. 0: the end of a range, see `endOfRange`.",
    }),
    recent: Type.Array(Type.Object({ slot: Count, hash: Type.String() }, strict), {
      minItems: 1,
      maxItems: RECENT_BLOCKS,
      description: "The last of the blocks received, without a hole; the last one is `last`.",
    }),
    finality: Type.Literal("final-slot", { description: "Every block was at or below the final slot of its source." }),
    package: Type.String({ description: "Substreams package and module, for people." }),
    datasets: Type.Array(DatasetSchema, { description: "All that the entry covers, with rows or without." }),
    files: Type.Array(FileSchema),
    replaces: Type.Array(Type.String(), { description: "Keys of files that are no longer part of the lake." }),
    inputSeq: Type.Optional(
      Type.Integer({ minimum: 0, description: "In older entries: sequence in the writer's input stream. Not used." }),
    ),
  },
  strict,
);

export type LineageKind = "live" | "backfill" | "compaction" | "redecode";
export type Lineage = Static<typeof LineageSchema>;
export type EntryBlock = Static<typeof BlockSchema>;
export type EntryDataset = Static<typeof DatasetSchema>;
export type FileEntry = Static<typeof FileSchema>;
export type ManifestEntry = Static<typeof EntrySchema>;
/** An entry before its place in the chain is known. */
export type EntryDraft = Omit<ManifestEntry, "format" | "version" | "number" | "previous" | "lineagePrevious" | "from">;

/**
 * The end of a bounded range, in place of a block: nothing came between the last block and it. A lineage that stands there
 * is complete, also one that never saw a block.
 */
export function endOfRange(stop: number): EntryBlock {
  return { slot: stop - 1, hash: "", time: 0 };
}

/** Whether a bounded lineage that stands at `slot` has come to the end of its range. */
export function isComplete({ stop }: Lineage, slot: number): boolean {
  return stop !== null && slot >= stop - 1;
}

/** One line that tells a lineage from all others. */
export function lineageId({ kind, source, dataset, start, stop, revision }: Lineage): string {
  const which = revision === undefined ? "" : `#${revision}`;
  return `${kind}/${source}/${dataset}/${start ?? ""}-${stop ?? ""}${which}`;
}

/** What is done to a range any number of times is a lineage of its own each time. It joins `taken`, the ids of all. */
export function nextRevision(range: Lineage, taken: Set<string>): Lineage {
  for (let revision = 1; ; revision++) {
    const lineage = { ...range, revision };
    const id = lineageId(lineage);
    if (taken.has(id)) continue;
    taken.add(id);
    return lineage;
  }
}

/** What an entry says of a dataset's columns. */
export function describeDataset(spec: DatasetSpec): EntryDataset {
  const columns = spec.columns.map((c) => [c.name, c.nullable === true ? `${c.type}?` : c.type] as const);
  const { name, version, key, order } = spec;
  return { name, version, columns: Object.fromEntries(columns), key: [...key], order: [...order] };
}

/** The dataset as an entry describes it. */
export function specOf({ name, version, columns, key, order }: EntryDataset): DatasetSpec {
  const specs = Object.entries(columns).map(([column, type]): ColumnSpec => {
    const nullable = type.endsWith("?");
    return { name: column, type: (nullable ? type.slice(0, -1) : type) as ColumnType, nullable, doc: "" };
  });
  return { name, version, doc: "", columns: specs, key, order };
}

/** Folder of a dataset's files of one date. */
export function partitionOf(dataset: string, date: string): string {
  return `dataset=${dataset}/date=${date}`;
}

/** The key of a data file: made from what it holds, so that doing a thing twice finds the same name. */
export function fileKey(dataset: string, date: string, slot: FileEntry["slot"], sha256: string): string {
  return `${partitionOf(dataset, date)}/${slot.min}-${slot.max}-${sha256.slice(0, 8)}.parquet`;
}

/** Dataset and slots that the key of a data file names; null when it is no such key. */
export function parseFileKey(key: string): { readonly dataset: string; readonly slots: SlotRange } | null {
  const match = /^dataset=([^/]+)\/date=[^/]+\/(\d+)-(\d+)-[0-9a-f]{8}\.parquet$/.exec(key);
  return match === null ? null : { dataset: match[1]!, slots: { first: Number(match[2]), last: Number(match[3]) } };
}

/** Bytes of an entry: the same for the same entry, whoever writes it. */
export function encodeEntry(entry: ManifestEntry): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(entry)}\n`);
}

/** Reads an entry strictly: anything that version 1 does not say is an error. `where` names it in messages. */
export function decodeEntry(bytes: Uint8Array, where: string): ManifestEntry {
  const entry = decodeJson(bytes, where);
  if (isObject(entry) && entry["format"] === "sluice-lake" && entry["version"] !== 1) {
    throw invalid(where, `it has format version ${JSON.stringify(entry["version"])}, this program reads 1`);
  }
  if (!Value.Check(EntrySchema, entry)) {
    const error = Value.Errors(EntrySchema, entry).First();
    throw invalid(where, `${error?.path || "it"}: ${error?.message ?? "not an entry"}`);
  }
  const contradiction = contradictionIn(entry);
  if (contradiction !== null) throw invalid(where, contradiction);
  return entry;
}

/** JSON, or an error that names what was read. */
export function decodeJson(bytes: Uint8Array, where: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid(where, "it is not JSON", cause);
  }
}

export function invalid(where: string, reason: string, cause?: unknown): Fatal {
  return new Fatal("LAKE_ENTRY", `${where} cannot be trusted: ${reason}`, {
    where,
    hint: "`sluice verify` tells what else is wrong. Restore the object from a copy of the lake.",
    cause,
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** What an entry of the right shape says against itself; null when nothing. */
function contradictionIn(entry: ManifestEntry): string | null {
  const { from, to, first, last, number, previous, lineagePrevious } = entry;
  if ((number === 1) !== (previous === null)) return "previous: only entry 1 has no entry before it";
  if ((lineagePrevious === null) !== (from === null))
    return "from: only a lineage's first entry has no position before it";
  if (lineagePrevious !== null && lineagePrevious >= number) return "lineagePrevious: it is not an earlier entry";
  if (!sameBlock(to, last)) return "to: it is not the last block";
  if (first.slot > last.slot || (from !== null && first.slot <= from.slot)) return "first: blocks are not in order";
  if (entry.blocks > last.slot - first.slot + 1) return "blocks: more than there are slots";
  const range = rangeContradiction(entry);
  if (range !== null) return range;
  if (!sameBlock(entry.recent.at(-1)!, last)) return "recent: it does not end with the last block";
  if (entry.recent.some((block, i) => i > 0 && block.slot <= entry.recent[i - 1]!.slot)) return "recent: not in order";
  const names = entry.datasets.map((d) => d.name);
  if (new Set(names).size !== names.length) return "datasets: one is named twice";
  for (const { name, columns, key, order } of entry.datasets) {
    const unknown = [...key, ...order].find((column) => !(column in columns));
    if (unknown !== undefined) return `datasets: ${name} has no column ${unknown}`;
  }
  const keys = entry.files.map((f) => f.key);
  if (new Set(keys).size !== keys.length) return "files: one is named twice";
  for (const [i, file] of entry.files.entries()) {
    const reason = fileContradiction(entry, file, names);
    if (reason !== null) return `files/${i}: ${reason}`;
  }
  return null;
}

function rangeContradiction({ lineage, first, last, blocks, files }: ManifestEntry): string | null {
  const { kind, start, stop } = lineage;
  if (kind === "backfill") {
    if (start === null || stop === null || start >= stop) return "lineage: a backfill has a range";
    if (first.slot < start || last.slot >= stop) return "lineage: its range does not hold the blocks";
  }
  if (blocks > 0) return null;
  const isEnd = stop !== null && first.slot === stop - 1 && last.slot === stop - 1 && last.hash === "";
  return isEnd && files.length === 0 ? null : "blocks: none, though it is not the end of a range";
}

function fileContradiction(entry: ManifestEntry, file: FileEntry, datasets: readonly string[]): string | null {
  if (!datasets.includes(file.dataset)) return `${file.dataset} is not among the datasets`;
  if (!isKey(file.key) || !file.key.startsWith(`${partitionOf(file.dataset, file.date)}/`)) {
    return `${JSON.stringify(file.key)} is not a key of its dataset and date`;
  }
  const { slot, blockTime, mint } = file;
  if (slot.min > slot.max || blockTime.min > blockTime.max || (mint !== null && mint.min > mint.max)) {
    return "a range is upside down";
  }
  return slot.min < entry.first.slot || slot.max > entry.last.slot ? "its slots are not those of the entry" : null;
}
