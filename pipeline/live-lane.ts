/**
 * One lane's part of the LIVE stream as steps: blocks one by one, and undos. Repeats are passed over and a hole is noticed
 * here, by the same rule as everywhere (`chain.ts`); what the blocks contain is decoded when somebody asks.
 */
import { afterData, afterUndo, type ChainState, EMPTY_CHAIN, judge } from "./chain.ts";
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
  private message: Message | null;
  private readonly catalog: DatasetCatalog;
  private decoded: ReadonlyMap<string, Table> | null = null;

  constructor(message: Message, catalog: DatasetCatalog) {
    this.version = message.header.input;
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

export class LaneSteps {
  /** Steps not taken yet, oldest first. */
  steps: LaneStep[] = [];
  /** The block before them; null = the beginning, undefined = nothing was read yet. */
  base: BlockRef | null | undefined = undefined;
  /** Highest slot said to be final. */
  finalSlot = 0;
  private readonly catalog: DatasetCatalog;
  private chain: ChainState = EMPTY_CHAIN;

  /** `after`: steps begin behind this block, and what comes before it is passed over; null: at the first message. */
  constructor(
    catalog: DatasetCatalog,
    private after: BlockRef | null = null,
  ) {
    this.catalog = catalog;
  }

  /** Reads a message. `gap`: it does not follow what was read before; steps now begin with it. */
  add(message: Message): "ok" | "gap" {
    const link = linkOf(message.header);
    if (link.kind === "end") return "ok";
    if (this.base === undefined && !this.begin(link.prev, link.kind === "undo" ? [link.next] : link.blocks))
      return "ok";
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

  /** Whether the message lets the steps begin: at once, or when it holds the block that they begin behind. */
  private begin(prev: Position | null, blocks: readonly BlockRef[]): boolean {
    const { after } = this;
    if (after === null || sameBlock(prev, after)) {
      this.startAt(prev);
      return true;
    }
    const at = blocks.findIndex((block) => sameBlock(block, after));
    if (at < 0) return false;
    this.startAt({ ...after, cursor: "", moduleHash: "" }, blocks.slice(0, at));
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
