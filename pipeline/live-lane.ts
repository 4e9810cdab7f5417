/**
 * One lane's part of the LIVE stream as steps: blocks one by one, and undos. Repeats are passed over and a hole is noticed
 * here, by the same rule as everywhere (`chain.ts`); what the blocks contain is decoded when somebody asks.
 */
import { afterData, afterUndo, type ChainState, EMPTY_CHAIN, judge, type Link } from "./chain.ts";
import { liveTables } from "./live-message.ts";
import { type BlockRef, type Position, sameBlock } from "./position.ts";
import { linkOf } from "./reader.ts";
import type { DatasetCatalog } from "./wire/batch.ts";
import type { Message } from "./wire/message.ts";
import type { Table } from "./wire/table.ts";

/** What one commit of a lane has told. */
export class LiveCommit {
  /** Version of the hot store that it made. */
  readonly version: number;
  /** Slot of its first block; of an undo, of the block gone back to. */
  readonly firstSlot: number;
  /** Of its tables. */
  readonly bytes: number;
  private message: Message | null;
  private readonly catalog: DatasetCatalog;
  private decoded: ReadonlyMap<string, Table> | null = null;

  constructor(message: Message, catalog: DatasetCatalog) {
    const { header } = message;
    this.version = header.input;
    this.firstSlot = header.blocks[0]?.[0] ?? header.next.slot;
    this.bytes = header.sections.reduce((sum, section) => sum + section.bytes, 0);
    this.message = message;
    this.catalog = catalog;
  }

  /** By dataset, see `live-message.ts`. Throws `Poison` when the message is damaged. */
  get tables(): ReadonlyMap<string, Table> {
    if (this.message !== null) {
      this.decoded = liveTables(this.message, this.catalog);
      this.message = null;
    }
    return this.decoded!;
  }
}

export type LaneStep =
  | { readonly kind: "block"; readonly block: BlockRef; readonly time: number; readonly commit: LiveCommit }
  /** `commits`: what was put back, where they speak of one row the later counts. */
  | { readonly kind: "undo"; readonly to: BlockRef; readonly commits: readonly LiveCommit[] };

/** Where steps begin; what comes before is passed over. */
export interface FeedStart {
  /** Null: what comes before the first block, so that steps begin with it. */
  readonly block: BlockRef | null;
  /** Whether the block itself is a step; else they begin behind it. */
  readonly isIncluded: boolean;
}

export class LaneSteps {
  /** Steps not taken yet, oldest first. */
  steps: LaneStep[] = [];
  /** The block before them; null = the beginning, undefined = nothing was read yet. */
  base: BlockRef | null | undefined = undefined;
  /** Highest slot said to be final. */
  finalSlot = 0;
  private readonly catalog: DatasetCatalog;
  private readonly start: FeedStart | null;
  private chain: ChainState = EMPTY_CHAIN;
  private isDecided = false;

  /** Without `start`, steps begin at the first message. */
  constructor(catalog: DatasetCatalog, start: FeedStart | null = null) {
    this.catalog = catalog;
    this.start = start;
  }

  /**
   * Whether the steps begin where they should. The chain may have come to the block that they begin behind more than once,
   * as long as it was not final: the last time counts, so that nothing is told again.
   */
  get isReady(): boolean {
    return this.base !== undefined && this.isDecided;
  }

  /** Reads a message. `gap`: it does not follow what was read before; steps now begin with it. */
  add(message: Message, newest: boolean): "ok" | "gap" {
    const link = linkOf(message.header);
    if (link.kind === "end") return "ok";
    if (!this.isDecided) {
      if (this.begins(link)) this.steps = [];
      const { start } = this;
      this.isDecided = start === null || newest || Math.min(link.finalSlot, link.next.slot) > (start.block?.slot ?? -1);
    }
    if (this.base === undefined) return "ok";
    const verdict = judge(this.chain, link);
    if (verdict.action === "skip") return "ok";
    const holds = verdict.action !== "gap" && (verdict.action === "undo" || verdict.undoTo === null);
    if (!holds) {
      this.steps = [];
      this.startAt(link.prev);
    }
    this.finalSlot = Math.max(this.finalSlot, link.finalSlot);
    const commit = new LiveCommit(message, this.catalog);
    if (link.kind === "undo") {
      this.steps.push({ kind: "undo", to: refOf(link.next), commits: [commit] });
      this.chain = afterUndo(this.chain, link.next, link.finalSlot);
    } else {
      const above = this.chain.position?.slot ?? -1;
      const fresh = link.blocks.filter((block) => block.slot > above);
      for (const block of fresh) this.steps.push({ kind: "block", block, time: message.header.time, commit });
      this.chain = afterData(this.chain, link.next, link.finalSlot, fresh);
    }
    return holds ? "ok" : "gap";
  }

  /** Takes the first step. */
  take(): void {
    const step = this.steps.shift();
    if (step !== undefined) this.base = step.kind === "block" ? step.block : step.to;
  }

  /** Whether steps begin with the message, or within it: it holds, or follows, the block that they begin behind. */
  private begins({ kind, prev, next, blocks }: Link): boolean {
    const { start } = this;
    if (start === null) {
      this.startAt(prev);
      return true;
    }
    const { block, isIncluded } = start;
    const at = kind === "undo" ? -1 : blocks.findIndex((other) => sameBlock(other, block));
    if (at >= 0) {
      const before = isIncluded ? at - 1 : at;
      if (before < 0) this.startAt(prev);
      else this.startAt({ ...refOf(blocks[before]!), cursor: "", moduleHash: "" }, blocks.slice(0, before));
      return true;
    }
    if (isIncluded) return false;
    if (kind === "undo" && sameBlock(next, block)) this.startAt(next);
    else if (this.base === undefined && sameBlock(prev, block)) this.startAt(prev);
    else return false;
    return true;
  }

  private startAt(position: Position | null, before: readonly BlockRef[] = []): void {
    this.base = position === null ? null : refOf(position);
    this.chain = { position, finalSlot: 0, recent: this.base === null ? [] : [...before, this.base] };
  }
}

function refOf({ slot, hash }: BlockRef): BlockRef {
  return { slot, hash };
}

/**
 * The shortest way to where the steps lead, for lanes that came there by different ways: blocks that are taken back again
 * are left out, undos in a row are one. `head`: the block before them.
 */
export function shortened(steps: readonly LaneStep[], head: BlockRef | null): LaneStep[] {
  const out: LaneStep[] = [];
  for (const step of steps) {
    if (step.kind === "block") {
      if (out.length === 1 && out[0]!.kind === "undo" && sameBlock(step.block, head)) out.pop();
      else out.push(step);
      continue;
    }
    let last = out.at(-1);
    while (last?.kind === "block" && isAbove(last.block, step.to)) {
      out.pop();
      last = out.at(-1);
    }
    if (last?.kind === "block") continue;
    if (last?.kind === "undo") out[out.length - 1] = { ...step, commits: [...last.commits, ...step.commits] };
    else if (head !== null && isAbove(head, step.to)) out.push(step);
  }
  return out;
}

/** Whether an undo to `to` takes the block back. */
function isAbove(block: BlockRef, to: BlockRef): boolean {
  return block.slot > to.slot || (block.slot === to.slot && block.hash !== to.hash);
}
