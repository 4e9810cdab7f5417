/**
 * The chain as it really was, block by block: forks up to twelve deep, forks of forks, returns to an abandoned fork,
 * slots without a block, blocks without rows, blocks that the source's filter leaves out. What it says in the end is what
 * every output must say; nothing here looks at the pipeline.
 */
import type { BlockRef } from "../../pipeline/position.ts";
import type { VirtualClock } from "./clock.ts";
import type { Faults } from "./faults.ts";

export interface Row {
  readonly id: number;
  /** Index of the mint it belongs to. */
  readonly mint: number;
}

export interface Block extends BlockRef {
  readonly parent: Block | null;
  /** Unix seconds. */
  readonly time: number;
  /** False: the filter leaves it out, nobody downstream ever sees it. */
  readonly delivered: boolean;
  readonly rows: readonly Row[];
}

export const START_SLOT = 100;
export const MINTS = 8;
const BLOCK_EVERY_MS = 400;

export class Network {
  /** The valid chain, oldest first. */
  path: Block[] = [];
  /** Highest final block: nothing at or below it is ever abandoned. */
  final: Block;
  /** What the endpoint reports as final: true, but late, and in steps. */
  reportedFinal: Block;
  forks = 0;
  readonly byHash = new Map<string, Block>();
  private readonly faults: Faults;
  private readonly clock: VirtualClock;
  private readonly abandoned: Block[] = [];
  private readonly waiting = new Set<() => void>();
  private readonly finalityLag: number;
  private count = 0;
  private rows = 0;

  constructor(faults: Faults, clock: VirtualClock) {
    this.faults = faults;
    this.clock = clock;
    this.finalityLag = 13 + faults.pick("finality lag", "", 8);
    this.final = this.reportedFinal = this.block(null, START_SLOT - 1);
    this.path = [this.final];
  }

  /** Makes blocks until there are `blocks`, calm or not, and wakes whoever waits. */
  async produce(blocks: number, signal: AbortSignal): Promise<void> {
    for (let made = 0; made < blocks && !signal.aborted; made++) {
      await this.clock.sleep(BLOCK_EVERY_MS).catch(() => undefined);
      const turn = this.faults.enabled ? this.faults.pick("turn", "", 100) : 99;
      if (turn < 8) this.fork();
      else if (turn < 11) this.returnToAbandoned();
      else this.extend(this.path.at(-1)!);
      this.finalize();
      for (const wake of [...this.waiting]) wake();
    }
  }

  /** Reported finality catches up with the truth. */
  catchUp(): void {
    this.reportedFinal = this.final;
  }

  change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  isValid(block: BlockRef): boolean {
    return this.path.some((b) => b.hash === block.hash);
  }

  /** What an output must hold in the end, oldest first. */
  deliveredPath(): Block[] {
    return this.path.filter((b) => b.delivered);
  }

  private fork(): void {
    const unfinal = this.path.length - 1 - this.path.indexOf(this.final);
    const depth = Math.min(unfinal, 1 + this.faults.pick("fork depth", "", 12));
    if (depth === 0) return;
    this.forks++;
    this.abandoned.push(this.path.at(-1)!);
    this.path.length -= depth;
    const length = 1 + this.faults.pick("fork length", "", depth + 1);
    for (let i = 0; i < length; i++) this.extend(this.path.at(-1)!);
  }

  /** The undo of an undo: a fork that was left is valid again. */
  private returnToAbandoned(): void {
    const tip = this.abandoned.pop();
    if (tip === undefined) return;
    const branch: Block[] = [];
    let at: Block | null = tip;
    for (; at !== null && !this.path.includes(at); at = at.parent) branch.unshift(at);
    const base = at === null ? -1 : this.path.indexOf(at);
    if (base < this.path.indexOf(this.final) || base === this.path.length - 1) return;
    this.forks++;
    this.abandoned.push(this.path.at(-1)!);
    this.path = [...this.path.slice(0, base + 1), ...branch];
    this.extend(tip);
  }

  private extend(tip: Block): void {
    const skipped = this.faults.pick("skip", "", 10) < 2 ? 1 + this.faults.pick("skipped", "", 3) : 0;
    this.path.push(this.block(tip, tip.slot + 1 + skipped));
  }

  private block(parent: Block | null, slot: number): Block {
    const serial = this.count++;
    const size = parent === null || this.faults.pick("empty", "", 10) < 3 ? 0 : 1 + this.faults.pick("rows", "", 3);
    const rows = Array.from({ length: size }, () => ({ id: this.rows++, mint: this.faults.pick("mint", "", MINTS) }));
    const delivered = parent !== null && (size > 0 || this.faults.pick("left out", "", 2) === 0);
    const time = 1_700_000_000 + Math.floor(slot * 0.4);
    const block = { slot, hash: `${slot}#${serial}`, parent, time, delivered, rows };
    this.byHash.set(block.hash, block);
    return block;
  }

  private finalize(): void {
    const at = this.path.length - 1 - this.finalityLag;
    if (at > this.path.indexOf(this.final)) this.final = this.path[at]!;
    if (this.faults.pick("report", "", 4) === 0) this.reportedFinal = this.final;
  }
}
