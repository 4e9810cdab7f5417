/**
 * Archive: keeps rows until their blocks are final, and hands them on in segments. What is not final never leaves.
 *
 * A segment ends before the block whose time falls into the next window of `seconds` (windows count from 1970, so an hour
 * never crosses midnight), and after the block that makes it hold `rows` or `bytes`. Both follow from the chain alone:
 * two archives of the same chain that begin at the same block write the same files.
 */

import { WIDTH } from "../../pipeline/datasets/dataset.ts";
import { Fatal, Poison } from "../../pipeline/errors.ts";
import { LIMITS } from "../../pipeline/limits.ts";
import { type BlockMeta, formatBlock, type Position } from "../../pipeline/position.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import type { Roll, Segment } from "../../pipeline/wire/roll.ts";
import type { Stage } from "../stage.ts";
import { concat, type TablePart } from "./concat.ts";

export interface RollLimits {
  /** Length of a window of block time, seconds. */
  readonly seconds: number;
  /** Rows of all datasets together. */
  readonly rows: number;
  /** Bytes of the rows' columns in memory. */
  readonly bytes: number;
}

export const ROLL_DEFAULTS: RollLimits = { seconds: 3_600, rows: 1_000_000, bytes: 128 * 1024 * 1024 };

/** A block that is held, and its rows. */
interface HeldBlock {
  readonly block: BlockMeta;
  readonly parts: readonly TablePart[];
  readonly rows: number;
  readonly bytes: number;
}

export class ArchiveStage implements Stage<RowBatch, Roll> {
  readonly name = "archive";
  private readonly limits: RollLimits;
  /** Final blocks of the segment that is being gathered. */
  private gathered: HeldBlock[] = [];
  private gatheredRows = 0;
  private gatheredBytes = 0;
  /** Blocks above the final slot, oldest first. */
  private unfinal: HeldBlock[] = [];
  private finalSlot = 0;
  private early = false;

  constructor(limits: Partial<RollLimits> = {}) {
    this.limits = { ...ROLL_DEFAULTS, ...limits };
  }

  apply(batch: RowBatch): Roll | null {
    const held = blocksOf(batch);
    const last = this.unfinal.at(-1) ?? this.gathered.at(-1);
    const first = held[0];
    if (last !== undefined && first !== undefined && first.block.slot <= last.block.slot) {
      throw new Fatal("ARCHIVE_ORDER", `${formatBlock(first.block)} does not come after ${formatBlock(last.block)}`);
    }
    this.unfinal.push(...held);
    for (const { block } of held) this.finalSlot = Math.max(this.finalSlot, block.finalSlot);

    const segments = this.gatherFinal();
    if (this.unfinal.length > LIMITS.unfinalBlocksMax) {
      throw new Fatal("ARCHIVE_UNFINAL", `${this.unfinal.length} blocks are held that are not final yet`, {
        hint: "The source does not report finality. Check the endpoint, or stream final blocks only.",
      });
    }
    if (this.early && this.gathered.length > 0) segments.push(this.closeSegment());
    if (segments.length === 0) return null;
    this.early = false;
    return { segments };
  }

  undo(to: Position): void {
    const stays = ({ block }: HeldBlock) => block.slot < to.slot || (block.slot === to.slot && block.hash === to.hash);
    this.unfinal = this.unfinal.filter(stays);
    this.gathered = this.gathered.filter(stays);
    // Read again, the past may bring a fork here that was abandoned, while blocks beyond it were final already.
    this.finalSlot = Math.min(this.finalSlot, to.slot);
    this.gatheredRows = sum(this.gathered, (held) => held.rows);
    this.gatheredBytes = sum(this.gathered, (held) => held.bytes);
  }

  /** The input is complete: what is final goes out, the rest stays and is told by `pendingFinal`. */
  end(): Roll | null {
    return this.gathered.length === 0 ? null : { segments: [this.closeSegment()] };
  }

  /** The stream is filling up: the next batch, or `flush`, carries out whatever is final, short of the limits. */
  requestEarlyRoll(): void {
    this.early = true;
  }

  /** Where an early roll was asked for and no batch has come to carry it out: a full stream lets none through. */
  flush(): Roll | null {
    if (!this.early || this.gathered.length === 0) return null;
    this.early = false;
    return { segments: [this.closeSegment()] };
  }

  /** Blocks and rows that are held because their blocks are not final. */
  pendingFinal(): { blocks: number; rows: number } {
    return { blocks: this.unfinal.length, rows: sum(this.unfinal, (held) => held.rows) };
  }

  /** Final blocks that wait for their segment to be full. */
  gathering(): { blocks: number; rows: number; bytes: number } {
    return { blocks: this.gathered.length, rows: this.gatheredRows, bytes: this.gatheredBytes };
  }

  /** Moves blocks that have become final into the segment; returns the segments that this completes. */
  private gatherFinal(): Segment[] {
    const segments: Segment[] = [];
    let moved = 0;
    for (const held of this.unfinal) {
      if (held.block.slot > this.finalSlot) break;
      moved++;
      const first = this.gathered[0];
      if (first !== undefined && this.window(held.block) > this.window(first.block)) segments.push(this.closeSegment());
      this.gathered.push(held);
      this.gatheredRows += held.rows;
      this.gatheredBytes += held.bytes;
      if (this.gatheredRows >= this.limits.rows || this.gatheredBytes >= this.limits.bytes) {
        segments.push(this.closeSegment());
      }
    }
    if (moved > 0) this.unfinal = this.unfinal.slice(moved);
    return segments;
  }

  private window(block: BlockMeta): number {
    return Math.floor(block.time / this.limits.seconds);
  }

  private closeSegment(): Segment {
    const held = this.gathered;
    this.gathered = [];
    this.gatheredRows = 0;
    this.gatheredBytes = 0;
    const parts = new Map<string, TablePart[]>();
    for (const part of held.flatMap((h) => h.parts)) {
      const name = part.table.spec.name;
      const known = parts.get(name);
      if (known === undefined) parts.set(name, [part]);
      else known.push(part);
    }
    const names = [...parts.keys()].sort();
    return {
      first: held[0]!.block,
      last: held.at(-1)!.block,
      blocks: held.length,
      tables: {
        *[Symbol.iterator]() {
          for (const name of names) yield concat(parts.get(name)!);
        },
      },
    };
  }
}

/** Deals a batch's rows out to its blocks. Throws `Poison` when a row belongs to none of them, or comes too late. */
function blocksOf(batch: RowBatch): HeldBlock[] {
  const cursors = [...batch.tables.values()].map((table) => ({ table, slot: table.column("slot"), at: 0 }));
  const held = batch.blocks.map((block) => {
    const parts: TablePart[] = [];
    for (const cursor of cursors) {
      const start = cursor.at;
      while (cursor.at < cursor.table.length && cursor.slot.number(cursor.at) === block.slot) cursor.at++;
      if (cursor.at > start) parts.push({ table: cursor.table, start, end: cursor.at });
    }
    return { block, parts, rows: sum(parts, (p) => p.end - p.start), bytes: sum(parts, bytesOf) };
  });
  for (const { table, slot, at } of cursors) {
    if (at === table.length) continue;
    throw new Poison("ARCHIVE_ROWS", `row ${at} of ${table.spec.name} is of slot ${slot.number(at)}, out of place`);
  }
  return held;
}

function bytesOf({ table, start, end }: TablePart): number {
  return sum(table.columns, ({ spec, offsets }) =>
    offsets === null ? (end - start) * WIDTH[spec.type]! : offsets[end]! - offsets[start]!,
  );
}

function sum<Item>(items: readonly Item[], value: (item: Item) => number): number {
  let total = 0;
  for (const item of items) total += value(item);
  return total;
}
