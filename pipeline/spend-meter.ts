/** Counts what a source receives, writes it down where restarts find it, and holds it against the budget. */
import { describe, Fatal } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Position } from "./position.ts";
import type { Range } from "./source/range.ts";
import type { BlockSignal, Source } from "./source/source.ts";
import {
  type Amount,
  addSpend,
  type Budget,
  type BudgetUse,
  budgetUse,
  expectedOf,
  type Ledger,
  leftOf,
  NOTHING,
  type Spend,
  spendAt,
} from "./spend.ts";
import type { World } from "./world.ts";

/** What came since is lost in a crash: not more than so much time. */
const WRITE_EVERY_MS = 5_000;
/** How often it is looked at in any case: days end. */
const LOOK_EVERY_MS = 1_000;

/** What was received since the process began, as the source counts. */
export interface Received {
  readonly blocks: number;
  readonly receivedBytes: number;
}

export interface SpendMeterOptions {
  readonly source: Source & { readonly status: Received };
  /** What the source is to bring, where it is not to follow the head for ever. */
  readonly range?: Range;
  readonly budget: Budget;
  readonly read: () => Promise<Ledger | null>;
  /** Adds what came, beside what others add; resolves with all of it. */
  readonly add: (at: number, amount: Amount) => Promise<Ledger>;
  readonly world: World;
  readonly log: Log;
}

/** The source itself, with a counter. */
export class MeteredSource implements Source {
  readonly name: string;
  readonly moduleHash: string;
  private readonly o: SpendMeterOptions;
  private ledger: Ledger | null = null;
  /** What came and is not in the ledger yet. */
  private pending: Amount = NOTHING;
  private counted: Received = { blocks: 0, receivedBytes: 0 };
  private writtenAt = Number.NEGATIVE_INFINITY;
  private alarmed: string | null = null;
  private toldRange = false;
  /** When it is to be looked at next: nothing can be used up before. */
  private due = { blocks: 0, bytes: 0, at: 0 };

  constructor(options: SpendMeterOptions) {
    this.o = options;
    this.name = options.source.name;
    this.moduleHash = options.source.moduleHash;
  }

  /** For reports: what was spent, and how much of the budget that is. */
  report(): Spend & { readonly budget: BudgetUse | null } {
    const spend = this.spent();
    return { ...spend, budget: budgetUse(spend, this.o.budget) };
  }

  /** See `Source`. Also throws `Fatal` SPEND_LIMIT when the budget is used up: before it asks, or behind the last block. */
  async *blocks(from: Position | null, signal: AbortSignal): AsyncGenerator<BlockSignal> {
    this.ledger = await this.o.read();
    this.tellRange(from);
    this.hold();
    try {
      for await (const item of this.o.source.blocks(from, signal)) {
        yield item;
        if (!this.isDue()) continue;
        this.count();
        this.hold();
        await this.write(false);
      }
    } finally {
      this.count();
      await this.write(true);
    }
  }

  /** What is to come is said before it is paid for, once. */
  private tellRange(from: Position | null): void {
    const { range, world, budget, log } = this.o;
    if (this.toldRange || range === undefined || range.stop === null || range.start < 0) return;
    this.toldRange = true;
    const slots = range.stop - (from === null ? range.start : from.slot + 1);
    if (slots <= 0) return;
    const expected = expectedOf(this.ledger, world.now(), slots);
    const left = leftOf(this.spent(), budget);
    const fields = { source: this.name, slots, ...(expected === null ? {} : { bytes: expected.bytes }) };
    const size = expected === null ? "of unknown size" : `about ${Math.ceil(expected.bytes / 1e6)} MB by those of late`;
    if (slots <= left.blocks && (expected?.bytes ?? 0) <= left.bytes) {
      const hint = expected === null ? "`sluice spend --estimate` measures it." : undefined;
      log("info", `up to ${slots} blocks are to come, ${size}`, { ...fields, ...(hint === undefined ? {} : { hint }) });
      return;
    }
    const hint = "At the limit it pauses until the day or month is over. See the settings spend.*.";
    log("warning", `up to ${slots} blocks are to come, ${size}: more than the budget leaves`, { ...fields, hint });
  }

  private isDue(): boolean {
    const { status } = this.o.source;
    const { blocks, bytes, at } = this.due;
    return status.blocks >= blocks || status.receivedBytes >= bytes || this.o.world.monotonic() >= at;
  }

  private count(): void {
    const { blocks, receivedBytes } = this.o.source.status;
    const { pending, counted } = this;
    this.pending = {
      blocks: pending.blocks + blocks - counted.blocks,
      bytes: pending.bytes + receivedBytes - counted.receivedBytes,
    };
    this.counted = { blocks, receivedBytes };
  }

  private spent(): Spend {
    const now = this.o.world.now();
    return spendAt(isNothing(this.pending) ? this.ledger : addSpend(this.ledger, now, this.pending), now);
  }

  /** What cannot be written now is written later, with what comes until then. */
  private async write(now: boolean): Promise<void> {
    const { world, add, log } = this.o;
    const amount = this.pending;
    if (isNothing(amount) || (!now && world.monotonic() - this.writtenAt < WRITE_EVERY_MS)) return;
    this.writtenAt = world.monotonic();
    try {
      this.ledger = await add(world.now(), amount);
      this.pending = { blocks: this.pending.blocks - amount.blocks, bytes: this.pending.bytes - amount.bytes };
    } catch (error) {
      log("debug", "what was received could not be written down", { reason: describe(error) });
    }
  }

  private hold(): void {
    const { budget, log, source, world } = this.o;
    const spend = this.spent();
    const use = budgetUse(spend, budget);
    const left = leftOf(spend, budget);
    this.due = {
      blocks: source.status.blocks + left.blocks,
      bytes: source.status.receivedBytes + left.bytes,
      at: world.monotonic() + LOOK_EVERY_MS,
    };
    if (use === null || use.percent < budget.alarmPercent) return;
    const full = use.percent >= 100;
    const message = `${Math.floor(use.percent)} % of the budget is used: ${use.used} of ${use.limit} ${use.what}`;
    if (full && budget.atLimit === "stop") {
      throw new Fatal("SPEND_LIMIT", message, {
        where: `source ${this.name}`,
        hint: "It goes on by itself when the day or month is over. Raise spend.max*, or set spend.atLimit to alarm.",
      });
    }
    const alarm = `${use.what} ${full}`;
    if (this.alarmed === alarm) return;
    this.alarmed = alarm;
    log(full ? "error" : "warning", message, { source: this.name });
  }
}

function isNothing({ blocks, bytes }: Amount): boolean {
  return blocks === 0 && bytes === 0;
}
