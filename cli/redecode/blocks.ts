/** Raw blocks that are still at hand, in the stream of blocks or in the lake's archive of them, decoded again. */

import type { Link } from "../../pipeline/chain.ts";
import { RAW_BLOCKS } from "../../pipeline/datasets/raw_blocks.ts";
import type { Deployment } from "../../pipeline/deployment.ts";
import { Poison, Shutdown } from "../../pipeline/errors.ts";
import { names } from "../../pipeline/names.ts";
import { type BlockMeta, type BlockRef, sameBlock } from "../../pipeline/position.ts";
import { type Incoming, StreamReader } from "../../pipeline/reader.ts";
import type { BlockBatch, RowBatch } from "../../pipeline/wire/batch.ts";
import type { Column } from "../../pipeline/wire/column.ts";
import { blockCodec } from "../../pipeline/wire/message.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { DecodeStage } from "../../stages/decode/stage.ts";
import { readChainRows } from "../../storage/lake/chain-rows.ts";
import type { SlotRange } from "../../storage/lake/coverage.ts";
import type { KnownBlocks } from "../../storage/lake/known-blocks.ts";
import { coverageOf, type LakeSnapshot } from "../../storage/lake/reader.ts";
import type { ObjectStore } from "../../storage/lake/store.ts";

/** Blocks decoded at once. */
const AT_ONCE = 32;

export interface HeldBlock {
  readonly block: BlockMeta;
  readonly payload: Uint8Array;
  readonly typeName: string;
  /** Module whose output it is. */
  readonly moduleHash: string;
  /** From this slot up to its own there is no other block. */
  readonly since: number;
}

/** Where blocks are still at hand. */
export interface BlockSource {
  /** Hands over the final blocks of these slots that are there, each once, in the order of the chain. */
  read(range: SlotRange, take: (blocks: readonly HeldBlock[]) => Promise<void>, signal: AbortSignal): Promise<void>;
}

/** Decodes blocks with the decoders of today. */
export function blockDecoder(d: Deployment, take: (rows: RowBatch) => Promise<void>) {
  const stage = new DecodeStage({
    ...{ programs: d.programs, maps: d.maps, failedTransactions: d.config["decode.failedTransactions"] },
    // Whatever the setting is now: those that were kept once would go.
    keepLonger: true,
  });
  return async (blocks: readonly HeldBlock[]): Promise<void> => {
    for (let at = 0; at < blocks.length; at += AT_ONCE) {
      const part = blocks.slice(at, at + AT_ONCE);
      for (const [typeName, own] of Map.groupBy(part, (held) => held.typeName)) {
        await take(stage.apply({ blocks: own.map((h) => h.block), payloads: own.map((h) => h.payload), typeName }));
      }
    }
  };
}

/** The stream of blocks: what was taken back is left out. */
export function streamedBlocks(d: Deployment): BlockSource {
  return {
    async read(range, take, signal) {
      const n = names(d.config["nats.prefix"], d.source);
      const state = await d.broker.streamState(n.blocks.stream);
      if (state === null || state.messages === 0) return;
      const canonical = new Canonical();
      const stop = new AbortController();
      const reader = new StreamReader(d.broker, n.blocks.stream, n.blocks.subject, blockCodec);
      for await (const incoming of reader.read(null, "oldest", AbortSignal.any([signal, stop.signal]))) {
        const { link } = incoming;
        const isWanted = link.kind === "data" && overlaps(link, range);
        const final = canonical.add(link, isWanted ? bodyOf(incoming) : null);
        await take(final.filter(({ block }) => block.slot >= range.first && block.slot <= range.last));
        if (incoming.seq >= state.lastSeq || canonical.finalSlot >= range.last) break;
      }
      stop.abort(new Shutdown());
      if (signal.aborted) throw new Shutdown();
    },
  };
}

/** The lake's own archive of raw blocks. */
export function archivedBlocks(
  lake: LakeSnapshot,
  known: KnownBlocks,
  store: ObjectStore,
  source: string,
  workDir: string,
): BlockSource {
  return {
    async read(range, take, signal) {
      const covered = coverageOf(lake, source, RAW_BLOCKS.name)
        .map(({ first, last }) => ({ first: Math.max(first, range.first), last: Math.min(last, range.last) }))
        .filter(({ first, last }) => first <= last);
      const files = (lake.files.get(RAW_BLOCKS.name) ?? []).filter((file) => file.source === source);
      for (const { first, last } of covered) {
        const position = { slot: last, hash: "", cursor: "", moduleHash: "" };
        const history = { position, recent: [], time: 0, firstSlot: first, files: new Map([[RAW_BLOCKS.name, files]]) };
        const datasets = [RAW_BLOCKS];
        let since = first;
        for await (const { tables } of readChainRows({ store, history, datasets, aboveSlot: first - 1, workDir })) {
          if (signal.aborted) throw new Shutdown();
          const rows = tables.get(RAW_BLOCKS.name)!;
          await take(blocksIn(rows, since, known));
          since = rows.column("slot").number(rows.length - 1) + 1;
        }
      }
    },
  };
}

/** `since`: the slot after the last row before these. Blocks that had no output have no row. */
function blocksIn(table: Table, since: number, known: KnownBlocks): HeldBlock[] {
  const [slot, time, hash, type, payload] = ["slot", "block_time", "hash", "type", "payload"].map((name) =>
    table.column(name),
  ) as [Column, Column, Column, Column, Column];
  return Array.from({ length: table.length }, (_, i) => {
    const at = slot.number(i);
    const block = { slot: at, hash: hash.string(i), cursor: "", time: time.number(i), finalSlot: at };
    return {
      ...{ block, payload: payload.bytes(i), typeName: type.string(i) },
      moduleHash: known.rawModuleAt(at),
      since: i === 0 ? since : slot.number(i - 1) + 1,
    };
  });
}

function overlaps({ blocks }: Link, range: SlotRange): boolean {
  const [first, last] = [blocks[0], blocks.at(-1)];
  return first !== undefined && last !== undefined && first.slot <= range.last && last.slot >= range.first;
}

/** A damaged message is told as such: its blocks are missing. */
function bodyOf(incoming: Incoming<BlockBatch>): BlockBatch | "damaged" | null {
  try {
    const signal = incoming.signal();
    return signal.kind === "data" ? signal.body : null;
  } catch (error) {
    if (error instanceof Poison) return "damaged";
    throw error;
  }
}

/**
 * The chain as the messages tell it: blocks that are final, once each. Of a block that is not there nothing is concluded: a
 * stream begins anywhere, and may have holes.
 */
export class Canonical {
  /** Up to here what was there is final. */
  finalSlot = -1;
  private last: BlockRef | null | undefined = undefined;
  private unfinal: HeldBlock[] = [];

  /** `body`: its blocks; null: none is wanted. Returns those that have become final. */
  add(link: Link, body: BlockBatch | "damaged" | null): HeldBlock[] {
    // A message that does not follow the one before: what lies between is missing, maybe an undo of what we hold.
    if (this.last === undefined || !sameBlock(link.prev, this.last)) this.unfinal = [];
    this.last = link.next;
    if (link.kind === "undo") {
      this.unfinal = this.unfinal.filter(({ block }) => block.slot < link.next.slot || sameBlock(block, link.next));
    }
    if (body !== null && body !== "damaged") this.hold(link, body);
    this.finalSlot = Math.max(this.finalSlot, Math.min(link.finalSlot, link.next.slot));
    const isFinal = ({ block }: HeldBlock) => block.slot <= this.finalSlot;
    const done = this.unfinal.filter(isFinal);
    this.unfinal = this.unfinal.filter((held) => !isFinal(held));
    return done;
  }

  private hold({ prev, next }: Link, { blocks, payloads, typeName }: BlockBatch): void {
    blocks.forEach((block, i) => {
      // Come again after it was final: it may be of a fork that was abandoned.
      if (block.slot <= this.finalSlot) return;
      const before = i === 0 ? prev : blocks[i - 1]!;
      const since = before === null ? block.slot : before.slot + 1;
      this.unfinal.push({ block, payload: payloads[i]!, typeName, moduleHash: next.moduleHash, since });
    });
  }
}
