/**
 * One simulated chain from its first block to its last: the stream of messages a Substreams endpoint would send, and the
 * truth about what survived. Memory is bounded by the unfinal blocks and the market's tokens, whatever the length.
 */
import bs58 from "bs58";
import { Fatal } from "../pipeline/errors.ts";
import { Program } from "./accounts.ts";
import { Chain, type ChainBlock } from "./chain.ts";
import { GROWN_LAYOUTS, type GrownAt } from "./events.ts";
import { Market } from "./market.ts";
import { writeNoise } from "./noise.ts";
import { PROFILES, type Profile, type Rates } from "./profiles.ts";
import { ProtoWriter } from "./protobuf.ts";
import { Random } from "./random.ts";
import { OUTPUTS, type OutputKind, writeBlock, writeUndo } from "./response.ts";
import { Traders } from "./traders.ts";
import { type Plan, TransactionFactory, type TransactionRecord } from "./transactions.ts";
import { type LedgerTruth, TruthLedger } from "./truth.ts";

export const DEFAULT_PROGRAM = "JBMmrp6jhksqnxDBskkmVvWHhJLaPBjgiMHEroJbUTBZ";
export const DEFAULT_START_SLOT = 370_500_000;
/** 2025-09-30T23:59:00Z: even a short chain crosses a boundary of every candle interval and of the day. */
export const DEFAULT_START_TIME = 1_759_276_740;

export interface SimulationOptions {
  /** Non-negative safe integer. The same seed and options give the same bytes, for ever. */
  readonly seed: number;
  /** Blocks that are delivered and survive. Forked and undelivered ones come on top. */
  readonly blocks: number;
  /** Transactions that touch the program, or whole blocks with votes and foreign trades. The market is the same in both. */
  readonly output: OutputKind;
  readonly profile?: Profile;
  /** Changes to the profile's rates. */
  readonly rates?: Partial<Rates>;
  readonly startSlot?: number;
  /** Block time of the start slot, Unix seconds. */
  readonly startTime?: number;
  /** Length of a slot, ms; default 400. Longer ones make a chain of many days of few blocks. */
  readonly slotMs?: number;
  /** Base58 address of the program whose events are emitted. */
  readonly program?: string;
  /**
   * The program is upgraded: from slot `fromSlot` on, its `buy_sell` events have more fields (`GROWN_FIELDS`), at the end or in
   * the middle. The truth is the same as without: it has none of the new fields.
   */
  readonly grows?: { readonly fromSlot: number; readonly at: GrownAt };
  /** `false` saves the cost of computing it; `lines` also keeps every canonical line, for small chains. Default true. */
  readonly truth?: boolean | "lines";
}

/** An encoded `sf.substreams.rpc.v2.Response`. */
export interface SimulatedMessage {
  readonly kind: "block" | "undo";
  /** Slot of the block, or of the last valid block. */
  readonly slot: number;
  readonly response: Uint8Array;
}

/** What happened to the chain on its way. */
export interface ChainTruth {
  readonly firstSlot: number;
  readonly lastSlot: number;
  readonly lastHash: string;
  readonly undos: number;
  /** Delivered blocks that were taken back. */
  readonly undoneBlocks: number;
  readonly deepestUndo: number;
  /** Undos that follow another one without a block in between. */
  readonly consecutiveUndos: number;
  /** Undos to a block that was never delivered. */
  readonly undosToSilentBlock: number;
  /** Transactions taken back and included again in another block. */
  readonly reincludedTransactions: number;
}

export interface Truth extends LedgerTruth {
  readonly seed: number;
  readonly output: OutputKind;
  readonly profile: Profile;
  readonly program: string;
  readonly chain: ChainTruth;
}

interface HeldBlock {
  readonly block: ChainBlock;
  readonly plans: readonly Plan[];
  readonly records: readonly TransactionRecord[];
  readonly transactions: number;
}

export class Simulation {
  readonly #options: SimulationOptions;
  readonly #rates: Rates;
  readonly #program: Program;
  readonly #market = new Market();
  readonly #chain: Chain;
  readonly #factory: TransactionFactory;
  readonly #ledger: TruthLedger | null;
  readonly #out = new ProtoWriter(1024 * 1024);
  /** Unfinal blocks, oldest first; as many as the chain holds. */
  readonly #held: HeldBlock[] = [];
  /** Transactions of the fork that was left, waiting to be included again. */
  #reinclude: readonly Plan[] = [];
  #last: ChainBlock | null = null;
  readonly #counts = {
    undos: 0,
    undoneBlocks: 0,
    deepestUndo: 0,
    consecutiveUndos: 0,
    undosToSilentBlock: 0,
    reincludedTransactions: 0,
  };

  constructor(options: SimulationOptions) {
    check(options);
    const { seed, blocks, startSlot = DEFAULT_START_SLOT, startTime = DEFAULT_START_TIME, slotMs = 400 } = options;
    this.#options = options;
    this.#rates = { ...PROFILES[options.profile ?? "market"], ...options.rates };
    this.#program = new Program(bs58.decode(options.program ?? DEFAULT_PROGRAM));
    const rates = this.#rates;
    const filtered = options.output === "transactions";
    this.#chain = new Chain({ seed, rates, blocks, startSlot, startTime, slotMs, filtered });
    const market = this.#market;
    const traders = new Traders({ seed, rates, market });
    this.#factory = new TransactionFactory({ seed, program: this.#program, rates, market, traders });
    const keepLines = options.truth === "lines";
    this.#ledger = options.truth === false ? null : new TruthLedger({ program: this.#program, keepLines });
  }

  /** All messages, once: a simulation runs a single time. */
  *messages(): Generator<SimulatedMessage, void> {
    while (!this.#chain.complete) {
      for (let again = false; this.#turnBack(again); again = true) {
        const target = this.#chain.undoTarget;
        this.#out.reset();
        writeUndo(this.#out, target, this.#cursor(target));
        yield { kind: "undo", slot: target.slot, response: this.#out.finish() };
      }
      const held = this.#produce();
      this.#held.push(held);
      if (!held.block.silent) {
        this.#last = held.block;
        yield { kind: "block", slot: held.block.slot, response: this.#out.finish() };
      }
      this.#finalize();
    }
  }

  /** The truth about the whole chain, once all messages are out. */
  truth(): Truth {
    if (this.#ledger === null || !this.#chain.complete || this.#held.length > 0) {
      throw new Fatal("SIMULATION_UNFINISHED", "the truth is known when all messages have been read", {
        hint: "Read the simulation to its end, and do not switch the truth off.",
      });
    }
    const { seed, output, profile = "market", startSlot = DEFAULT_START_SLOT } = this.#options;
    const last = this.#last!;
    const chain = { firstSlot: startSlot, lastSlot: last.slot, lastHash: last.hash, ...this.#counts };
    return { seed, output, profile, program: this.#program.text, chain, ...this.#ledger.finish() };
  }

  /** Takes blocks back now and then. True when it did. */
  #turnBack(again: boolean): boolean {
    const taken = this.#chain.undo(again);
    if (taken === null) return false;
    this.#reinclude = [];
    for (const _ of taken) {
      const { plans } = this.#held.pop()!;
      this.#market.undoBlock();
      // The oldest block with transactions started from the state that the chain is back in now.
      if (plans.length > 0) this.#reinclude = plans;
    }
    this.#reinclude = this.#reinclude.slice(0, this.#chain.random.between(0, 3));
    const depth = taken.filter((b) => !b.silent).length;
    this.#counts.undos++;
    this.#counts.undoneBlocks += depth;
    this.#counts.deepestUndo = Math.max(this.#counts.deepestUndo, depth);
    if (again) this.#counts.consecutiveUndos++;
    if (this.#chain.undoTarget.silent) this.#counts.undosToSilentBlock++;
    return true;
  }

  /** Makes the next block; its message is in the writer unless the block is silent. */
  #produce(): HeldBlock {
    const parentHash = this.#chain.headHash;
    const block = this.#chain.extend();
    this.#market.beginBlock();
    const plans: Plan[] = [];
    const records: TransactionRecord[] = [];
    let transactions = 0;
    if (block.silent) return { block, plans, records, transactions };
    const { output, seed } = this.#options;
    this.#out.reset();
    writeBlock(this.#out, {
      output,
      block,
      cursor: this.#cursor(block),
      finalHeight: this.#chain.finalHeight,
      bare: output === "transactions" && block.empty && block.serial % 2 === 0,
      transactions: (out, field) => {
        if (output === "block") {
          transactions += writeNoise(out, field, {
            rates: this.#rates,
            seed,
            serial: block.serial,
            recentBlockhash: parentHash,
          });
        }
        const around = { now: block.time, grown: this.#grownAt(block) };
        for (const plan of this.#plans(block, parentHash)) {
          const record = this.#factory.write(out, field, plan, around);
          if (record === null) continue;
          plans.push(plan);
          records.push(record);
        }
      },
    });
    transactions += records.length;
    return { block, plans, records, transactions };
  }

  #grownAt({ slot }: ChainBlock): GrownAt | null {
    const { grows } = this.#options;
    return grows !== undefined && slot >= grows.fromSlot ? grows.at : null;
  }

  /** What the block is to contain. Each plan is made when the one before has been executed. */
  *#plans(block: ChainBlock, recentBlockhash: Uint8Array): Generator<Plan> {
    if (block.empty) return;
    const { random } = this.#chain;
    const again = this.#reinclude;
    this.#reinclude = [];
    this.#counts.reincludedTransactions += again.length;
    yield* again;
    if (block.serial === 0) {
      for (let i = 0; i < this.#rates.firstTokens; i++) yield this.#factory.planCreate(recentBlockhash);
    }
    const count = random.between(...this.#rates.transactions);
    const { mentions } = this.#rates;
    for (let i = 0; i < count; i++) {
      yield this.#factory.plan(random, recentBlockhash);
      if (random.chance(mentions / count)) yield this.#factory.planMention(recentBlockhash);
    }
  }

  #finalize(): void {
    for (const block of this.#chain.takeFinal()) {
      const held = this.#held.shift()!;
      this.#market.forgetBlock();
      if (!block.silent) this.#ledger?.apply({ ...held, slot: block.slot, time: block.time });
    }
  }

  /** Opaque and unique: 48 characters of base64url. */
  #cursor(block: ChainBlock): string {
    return Buffer.from(new Random(this.#options.seed, "cursor", block.serial).bytes(36)).toString("base64url");
  }
}

function check(options: SimulationOptions): void {
  const refuse = (what: string, hint: string) => {
    throw new Fatal("SIMULATION_OPTION", what, { where: "simulate", hint });
  };
  const whole = (name: "seed" | "blocks" | "startSlot" | "startTime" | "slotMs", low: number) => {
    const value = options[name];
    if (value === undefined || (Number.isSafeInteger(value) && value >= low)) return;
    refuse(`${name} is ${value}`, `Choose a whole number of at least ${low}.`);
  };
  whole("seed", 0);
  whole("blocks", 1);
  whole("startSlot", 1);
  whole("startTime", 0);
  whole("slotMs", 1);
  const { grows } = options;
  if (grows !== undefined && !(Number.isSafeInteger(grows.fromSlot) && grows.at in GROWN_LAYOUTS)) {
    refuse(`the program cannot grow at ${grows.at} from ${grows.fromSlot}`, "Give a slot, and end or middle.");
  }
  const { output, profile = "market", program = DEFAULT_PROGRAM } = options;
  if (!(output in OUTPUTS))
    refuse(`there is no output "${output}"`, `Choose one of ${Object.keys(OUTPUTS).join(", ")}.`);
  if (!(profile in PROFILES))
    refuse(`there is no profile "${profile}"`, `Choose one of ${Object.keys(PROFILES).join(", ")}.`);
  if (bs58.decodeUnsafe(program)?.length !== 32) {
    refuse(`program "${program}" is no address`, "Give the base58 text of 32 bytes.");
  }
}
