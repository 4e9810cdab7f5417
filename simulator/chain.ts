/**
 * The simulated chain: slots (some skipped), blocks, the head turning back to another fork, and finality that lags behind.
 * It decides only about blocks; what is in them is somebody else's business.
 *
 * A *silent* block has nothing in it that the filter of a filtered module would match, and is not delivered. In whole-block
 * output, where every block is delivered, its slot counts as skipped; all else happens alike in both.
 */
import { base58 } from "./base58.ts";
import type { Rates } from "./profiles.ts";
import { Random } from "./random.ts";

export interface ChainBlock {
  /** Number among all blocks ever made, forked ones included. */
  readonly serial: number;
  readonly slot: number;
  readonly hash: string;
  readonly hashBytes: Uint8Array;
  readonly parentSlot: number;
  readonly parentHash: string;
  readonly height: number;
  /** Block time, Unix seconds: 400 ms a slot. */
  readonly time: number;
  /** Without transactions of the program. */
  readonly empty: boolean;
  /** Not delivered. Always empty. */
  readonly silent: boolean;
}

export interface ChainOptions {
  readonly seed: number;
  readonly rates: Rates;
  /** Delivered blocks that survive. */
  readonly blocks: number;
  readonly startSlot: number;
  readonly startTime: number;
  /** Length of a slot, ms. */
  readonly slotMs: number;
  /** Whether silent blocks exist for the reader; otherwise their slots are skipped ones. */
  readonly filtered: boolean;
}

const UNDO_DEPTH_MAX = 12;
/** Slots that the final height lags behind the head. */
const FINAL_LAG = [12, 40] as const;
const FIRST_HEIGHT = 300_000_000;

export class Chain {
  readonly random: Random;
  readonly #options: ChainOptions;
  /** The newest final block, and the newest final one that was delivered. */
  #final: ChainBlock | null = null;
  #finalDelivered: ChainBlock | null = null;
  /** Blocks that may still be taken back, oldest first. */
  readonly #unfinal: ChainBlock[] = [];
  #serial = 0;
  #delivered = 0;
  #nextSlot: number;
  #highestSlot: number;
  #finalSlot: number;
  #finalHeight: number;

  constructor(options: ChainOptions) {
    this.#options = options;
    this.random = new Random(options.seed, "chain");
    this.#nextSlot = options.startSlot;
    this.#highestSlot = options.startSlot - 1;
    this.#finalSlot = Math.max(0, options.startSlot - 1 - FINAL_LAG[0]);
    this.#finalHeight = this.#finalSlot;
  }

  /** True once the chain has all its blocks; all of them are final then. */
  get complete(): boolean {
    return this.#delivered === this.#options.blocks;
  }

  /** Final height as the reader is told it: a slot that has a block for this reader. */
  get finalHeight(): number {
    return this.#finalHeight;
  }

  get headHash(): Uint8Array {
    const head = this.#unfinal.at(-1) ?? this.#final;
    return head?.hashBytes ?? this.#hash(-1);
  }

  /** Adds the next block on top and lets finality advance. */
  extend(): ChainBlock {
    const { rates, startSlot, startTime, slotMs, blocks, filtered } = this.#options;
    const { random } = this;
    const skipped = random.chance(rates.skippedSlots) ? random.between(1, 4) : 0;
    const first = this.#serial === 0;
    const last = this.#delivered === blocks - 1;
    const silent = random.chance(rates.silentBlock) && !first && !last;
    const slot = this.#nextSlot + (first ? 0 : skipped);
    const hashBytes = this.#hash(this.#serial);
    const parent = this.#deliveredHead();
    const block: ChainBlock = {
      serial: this.#serial++,
      slot,
      hash: base58(hashBytes),
      hashBytes,
      parentSlot: parent?.slot ?? startSlot - 1,
      parentHash: parent?.hash ?? base58(this.#hash(-1)),
      height: (parent?.height ?? FIRST_HEIGHT) + (silent && !filtered ? 0 : 1),
      time: startTime + Math.floor(((slot - startSlot) * slotMs) / 1000),
      empty: silent || (random.chance(rates.emptyBlock) && !first),
      silent,
    };
    this.#unfinal.push(block);
    this.#nextSlot = slot + 1;
    this.#highestSlot = Math.max(this.#highestSlot, slot);
    if (!silent) this.#delivered++;
    this.#advanceFinality(block);
    return block;
  }

  /** Blocks that have become final, oldest first. Call after the block's message is written. */
  takeFinal(): ChainBlock[] {
    const final: ChainBlock[] = [];
    while (this.#unfinal[0] !== undefined && this.#unfinal[0].slot <= this.#finalSlot) {
      const block = this.#unfinal.shift()!;
      this.#final = block;
      if (!block.silent) this.#finalDelivered = block;
      final.push(block);
    }
    return final;
  }

  /** Turns back now and then: the blocks taken off, newest first, or null. `again`: straight after another undo. */
  undo(again: boolean): ChainBlock[] | null {
    const { rates } = this.#options;
    if (!this.random.chance(again ? rates.undoTwice : rates.undo)) return null;
    const count = this.#undoCount(again ? 4 : UNDO_DEPTH_MAX);
    if (count === 0) return null;
    const taken = this.#unfinal.splice(-count).reverse();
    for (const block of taken) if (!block.silent) this.#delivered--;
    // The other fork may have used the same slots or later ones.
    const reuse = this.random.chance(0.5);
    const head = this.#unfinal.at(-1) ?? this.#final;
    this.#nextSlot = reuse && head !== null ? head.slot + 1 : this.#highestSlot + 1;
    return taken;
  }

  /** The block that an undo signal names now: the newest one that the reader could know of. */
  get undoTarget(): ChainBlock {
    const target = this.#options.filtered ? (this.#unfinal.at(-1) ?? this.#final) : this.#deliveredHead();
    return target!;
  }

  /** How many blocks to take off so that one to `depthMax` delivered ones go; 0 when there is no room to turn back. */
  #undoCount(depthMax: number): number {
    const toSilent = this.random.chance(0.4);
    const u = this.random.float();
    const wanted = 1 + Math.floor(u * u * depthMax);
    const mustStay = this.#finalDelivered === null ? this.#unfinal.findIndex((b) => !b.silent) + 1 : 0;
    let depth = 0;
    let count = 0;
    for (let i = this.#unfinal.length - 1; i >= mustStay; i--) {
      if (!this.#unfinal[i]!.silent && ++depth > depthMax) break;
      const onSilent = this.#unfinal[i - 1]?.silent ?? false;
      if (depth > 0 && (depth <= wanted || (toSilent && onSilent))) count = this.#unfinal.length - i;
      if (depth >= wanted && (!toSilent || onSilent)) break;
    }
    return count;
  }

  /** The newest block that was delivered. */
  #deliveredHead(): ChainBlock | null {
    return this.#unfinal.findLast((b) => !b.silent) ?? this.#finalDelivered;
  }

  #advanceFinality(head: ChainBlock): void {
    const remaining = this.#options.blocks - this.#delivered;
    // Finality moves in steps, and has caught up when the chain ends.
    if (remaining > 20 && !this.random.chance(0.4)) return;
    const lag = Math.min(this.random.between(...FINAL_LAG), remaining * 2);
    const limit = head.slot - lag;
    const final = this.#unfinal.findLast((b) => b.slot <= limit);
    if (final === undefined) return;
    this.#finalSlot = final.slot;
    const told = this.#options.filtered ? final : this.#unfinal.findLast((b) => b.slot <= limit && !b.silent);
    if (told !== undefined) this.#finalHeight = told.slot;
  }

  #hash(serial: number): Uint8Array {
    return new Random(this.#options.seed, "blockhash", serial + 1).bytes(32);
  }
}
