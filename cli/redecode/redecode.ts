/**
 * Decodes a program's events anew with the decoders of today and puts the lake right: from raw blocks, as far as the stream
 * of blocks holds them, and before that from the payloads that were kept in quarantine. No provider is asked.
 */
import { rm } from "node:fs/promises";
import bs58 from "bs58";
import { QUARANTINE } from "../../pipeline/datasets/quarantine.ts";
import type { Deployment } from "../../pipeline/deployment.ts";
import { Fatal, Shutdown } from "../../pipeline/errors.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { KeptPayloads } from "../../stages/decode/kept-payloads.ts";
import type { ProgramSpec } from "../../stages/decode/program.ts";
import { readChainRows } from "../../storage/lake/chain-rows.ts";
import { type Corrected, type Correction, correctLake } from "../../storage/lake/correction.ts";
import { includes, type SlotRange, without } from "../../storage/lake/coverage.ts";
import { Duck } from "../../storage/lake/duckdb.ts";
import { KnownBlocks } from "../../storage/lake/known-blocks.ts";
import { Manifest } from "../../storage/lake/manifest.ts";
import { coverageOf, LakeReader, type LakeSnapshot, ofSource } from "../../storage/lake/reader.ts";
import type { ObjectStore } from "../../storage/lake/store.ts";
import { makeWorkFolder } from "../../storage/lake/work-folder.ts";
import { archivedBlocks, blockDecoder, type HeldBlock, streamedBlocks } from "./blocks.ts";
import { BlocksRead } from "./blocks-read.ts";
import { mustNotRemove } from "./removal.ts";
import { ofProgram, RowFiles } from "./rows.ts";

export interface RedecodeOptions {
  readonly deployment: Deployment;
  /** The lake as one that may be written to. */
  readonly store: ObjectStore;
  readonly workDir: string;
  readonly program: ProgramSpec;
  /** Null: from the first slot that the lake has, to the last. */
  readonly from: number | null;
  readonly to: number | null;
  /** Leave raw blocks aside: only what was kept is read again. */
  readonly keptOnly: boolean;
  readonly dryRun: boolean;
  /** Do it also where many rows go and nothing comes of their events. */
  readonly allowRemoval: boolean;
  /** Called once it is known that nothing is refused, before the first change. */
  readonly beforeChange: () => Promise<void>;
  readonly signal: AbortSignal;
  readonly onProgress: (text: string) => void;
}

export interface Redecoded {
  readonly program: string;
  readonly range: SlotRange;
  /** Slots that were decoded from their blocks. */
  readonly blocks: readonly SlotRange[];
  /** Slots that the lake covers, but whose blocks could not be read again: their rows stay, but for kept payloads. */
  readonly notRead: readonly SlotRange[];
  /** Payloads of other slots: read again, understood now, and those that only their block could tell. */
  readonly kept: { readonly read: number; readonly healed: number; readonly needBlock: number };
  readonly corrected: readonly Corrected[];
}

export async function redecode(options: RedecodeOptions): Promise<Redecoded> {
  const { deployment: d, store, program, signal, onProgress } = options;
  const lake = await new LakeReader(store).read();
  const own = ofSource(lake, d.source);
  // Of the live archive and of backfills.
  const covered = coverageOf(lake, d.source, QUARANTINE.name);
  if (covered.length === 0) throw nothingThere(store, d.source);
  const entries = (await Array.fromAsync(new Manifest(store).after(null))).map(({ entry }) => entry);
  const known = new KnownBlocks(entries, d.source);
  const range = rangeOf(options, { first: covered[0]!.first, last: covered.at(-1)!.last });
  const folder = await makeWorkFolder(options.workDir);
  const duck = await Duck.open({ memoryMb: 512, threads: 2, spillDir: folder });
  try {
    const id = bs58.decode(program.programId);
    const decoded = new RowFiles(duck, folder, "blocks");
    const decode = blockDecoder(d, async ({ tables, blocks }) => {
      await decoded.add(ofProgram(tables, id));
      onProgress(`decoding blocks: slot ${blocks.at(-1)?.slot}`);
    });
    const blocksRead = new BlocksRead(known);
    if (!options.keptOnly) {
      const take = (ofLake: boolean) => (blocks: readonly HeldBlock[]) =>
        decode(blocksRead.admit(blocks, ofLake).filter(({ block }) => block.slot <= range.last));
      // As far as a block that shows of which chain those before it are.
      const last = known.nextKnown(range.last) ?? range.last;
      await streamedBlocks(d).read({ first: range.first, last }, take(false), signal);
      // What the stream holds no more, the lake may.
      const archived = archivedBlocks(lake, known, store, d.source, options.workDir);
      for (const rest of without(range, blocksRead.seen)) await archived.read(rest, take(true), signal);
    }
    await decoded.end();
    const whole = blocksRead.slots.flatMap((part) => clip(part, range));
    const healed = new RowFiles(duck, folder, "kept");
    const reread = new RowFiles(duck, folder, "reread");
    const kept = await readKept(options, own, range, whole, healed, reread);
    const correction: Correction = {
      program: program.programId,
      whole,
      parts: joined(decoded.parts, healed.parts),
      // A list that is understood now has keys of its own for its elements.
      reread: [...reread.parts.values(), ...healed.parts.values()].flat(),
    };
    const correct = (dryRun: boolean) =>
      correctLake({
        ...{ store, source: d.source, range, correction, duck, folder, dryRun },
        datasets: [...d.catalog.values()],
        onStretch: (done, total) => {
          if (signal.aborted) throw new Shutdown();
          onProgress(`${dryRun ? "comparing" : "correcting"} the lake: ${done} of ${total} stretches`);
        },
      });
    // Before the first file is replaced: what is removed by mistake is hard to get back.
    if (!options.dryRun && !options.allowRemoval) mustNotRemove(await correct(true));
    if (!options.dryRun) await options.beforeChange();
    const corrected = await correct(options.dryRun);
    const blocks = blocksRead.spans.flatMap((part) => clip(part, range));
    const notRead = covered.flatMap((part) => clip(part, range)).flatMap((part) => without(part, blocksRead.spans));
    return { program: program.name, range, blocks, notRead, kept, corrected };
  } finally {
    duck.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Reads payloads of slots whose blocks are not at hand. */
async function readKept(
  { deployment: d, store, program, workDir, signal, onProgress }: RedecodeOptions,
  { files }: LakeSnapshot,
  range: SlotRange,
  whole: readonly SlotRange[],
  healed: RowFiles,
  reread: RowFiles,
): Promise<Redecoded["kept"]> {
  const payloads = new KeptPayloads(program);
  const counts = { read: 0, healed: 0, needBlock: 0 };
  const pieces = readChainRows({
    ...{ store, workDir, datasets: [QUARANTINE], aboveSlot: range.first - 1 },
    history: {
      ...{ position: { slot: range.last, hash: "", cursor: "", moduleHash: "" }, recent: [], time: 0 },
      ...{ firstSlot: range.first, files },
    },
  });
  for await (const { tables } of pieces) {
    if (signal.aborted) throw new Shutdown();
    const kept = outside(tables.get(QUARANTINE.name)!, whole);
    const again = payloads.read(kept);
    counts.read += again.rows.length;
    counts.healed += again.healed;
    counts.needBlock += again.needBlock;
    if (again.rows.length > 0) await reread.add(new Map([[QUARANTINE.name, kept.take(again.rows)]]));
    await healed.add(again.tables);
    onProgress(`reading kept payloads of ${d.source}: ${counts.healed} of ${counts.read} understood`);
  }
  await reread.end();
  await healed.end();
  return counts;
}

function outside(table: Table, whole: readonly SlotRange[]): Table {
  const slot = table.column("slot");
  return table.take(
    Array.from({ length: table.length }, (_, i) => i).filter((row) => !includes(whole, slot.number(row))),
  );
}

/** The part of a range that lies in another: none or one. */
function clip(part: SlotRange, { first, last }: SlotRange): SlotRange[] {
  const clipped = { first: Math.max(part.first, first), last: Math.min(part.last, last) };
  return clipped.first <= clipped.last ? [clipped] : [];
}

function joined(...all: readonly ReadonlyMap<string, readonly string[]>[]): Map<string, readonly string[]> {
  const parts = new Map<string, readonly string[]>();
  for (const one of all) for (const [name, files] of one) parts.set(name, [...(parts.get(name) ?? []), ...files]);
  return parts;
}

function rangeOf({ from, to }: RedecodeOptions, lake: SlotRange): SlotRange {
  const first = Math.max(from ?? lake.first, lake.first);
  const last = Math.min(to ?? lake.last, lake.last);
  if (first <= last) return { first, last };
  throw new Fatal("USAGE", `the lake has slots ${lake.first} to ${lake.last}, none of ${from ?? ""}-${to ?? ""}`, {
    hint: "Only what is archived can be put right; later blocks are decoded by the stages, with the settings they run with.",
  });
}

function nothingThere(store: ObjectStore, source: string): Fatal {
  return new Fatal("LAKE_MISSING", `the lake holds nothing of the source ${source}`, {
    where: store.name,
    hint: "Check the settings of the lake, and --source.",
  });
}
