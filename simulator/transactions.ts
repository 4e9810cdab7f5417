/**
 * Transactions of the target program: what one is to contain (a plan), and its execution and encoding. A plan can run
 * again in another block: from the same market state it gives the same message, signature and events.
 */
import type { Account, Program } from "./accounts.ts";
import {
  chatterCall,
  computeBudgetCalls,
  exchangeCall,
  fakePayload,
  guardCall,
  type Manner,
  memoCall,
  payerOf,
  precompileCall,
  routerCall,
  systemTransfer,
  targetCall,
  tokenAccount,
} from "./calls.ts";
import type { GrownAt, MarketEvent } from "./events.ts";
import type { Action, Market } from "./market.ts";
import { type Draft, type TokenMove, writeTransaction } from "./message.ts";
import type { Rates } from "./profiles.ts";
import type { ProtoWriter } from "./protobuf.ts";
import { Random } from "./random.ts";
import type { Call, Outcome, Placement } from "./runtime.ts";
import type { Traders } from "./traders.ts";

/** One transaction to be: enough to run it now or again in another block. */
export interface Plan {
  /** Number of the plan; seeds its signature and its shape. */
  readonly serial: number;
  /** `failed`: fails after its events are logged. `mention`: only names the program. */
  readonly kind: "market" | "failed" | "mention";
  readonly actions: readonly Action[];
  /** A last purchase whose events do not fit into the log. */
  readonly lost: Action | null;
  readonly recentBlockhash: Uint8Array;
}

/** The block that a transaction is executed in, as far as programs can tell. */
export interface Surroundings {
  /** Block time, Unix seconds. */
  readonly now: number;
  /** Where the program of that time has new fields in its events; null before its upgrade. */
  readonly grown: GrownAt | null;
}

/** What the chain's history keeps of a transaction. */
export interface TransactionRecord {
  readonly signature: Uint8Array;
  readonly failed: boolean;
  readonly truncated: boolean;
  /** The target program's payloads in execution order, those of failed transactions included. */
  readonly placements: readonly Placement[];
}

const UNIT_LIMIT = 1_400_000;
const BASE_FEE_LAMPORTS = 5_000;
const SLIPPAGE_EXCEEDED = 6_001;
const LIQUIDITY_LOCKED = 6_010;

export class TransactionFactory {
  readonly #seed: number;
  readonly #program: Program;
  readonly #rates: Rates;
  readonly #market: Market;
  readonly #traders: Traders;
  #serial = 0;

  constructor(options: { seed: number; program: Program; rates: Rates; market: Market; traders: Traders }) {
    this.#seed = options.seed;
    this.#program = options.program;
    this.#rates = options.rates;
    this.#market = options.market;
    this.#traders = options.traders;
  }

  /** Decides on the next transaction: the traders on its actions, `random` on its fate. */
  plan(random: Random, recentBlockhash: Uint8Array): Plan {
    const first = this.#traders.next();
    const failed = first.kind !== "create" && random.chance(this.#rates.failed);
    const second = random.chance(this.#rates.secondAction) ? [this.#traders.buy(first.token, payerOf(first))] : [];
    const truncated = !failed && random.chance(this.#rates.truncated);
    const lost = truncated ? this.#traders.buy(first.token, payerOf(first)) : null;
    return this.#number({ kind: failed ? "failed" : "market", actions: [first, ...second], lost, recentBlockhash });
  }

  /** A transaction that names the program without calling it. */
  planMention(recentBlockhash: Uint8Array): Plan {
    return this.#number({ kind: "mention", actions: [this.#traders.buy()], lost: null, recentBlockhash });
  }

  planCreate(recentBlockhash: Uint8Array): Plan {
    return this.#number({ kind: "market", actions: [this.#traders.create()], lost: null, recentBlockhash });
  }

  #number(plan: Omit<Plan, "serial">): Plan {
    return { ...plan, serial: this.#serial++ };
  }

  /** Runs the plan and writes the transaction as field `field`; null when the market refuses its first action. */
  write(out: ProtoWriter, field: number, plan: Plan, around: Surroundings): TransactionRecord | null {
    const shape = new Random(this.#seed, "shape", plan.serial);
    const payer = payerOf(plan.actions[0]!);
    const calls = plan.kind === "mention" ? this.#mentionCalls(plan, shape) : this.#marketCalls(plan, around, shape);
    if (calls === null) return null;
    const signers = [payer];
    for (const action of plan.actions) if (action.kind === "create") signers.push(action.token.definition.mint);
    const signatures = new Random(this.#seed, "signature", plan.serial);
    const draft: Draft = {
      signatures: signers.map(() => signatures.bytes(64)),
      signers,
      recentBlockhash: plan.recentBlockhash,
      calls: calls.calls,
      versioned: shape.chance(this.#rates.versioned),
      unitLimit: UNIT_LIMIT,
      feeLamports: BASE_FEE_LAMPORTS * signers.length + shape.int(20_000),
      ...settlement(plan.actions[0]!, calls.events, shape),
    };
    return record(draft, writeTransaction(out, field, draft, shape));
  }

  #mentionCalls(plan: Plan, shape: Random) {
    const { token } = plan.actions[0]!;
    const payer = payerOf(plan.actions[0]!);
    const calls = [exchangeCall(payer, [this.#program, token.definition.mint], fakePayload(token, shape))];
    return { calls, events: [] as MarketEvent[] };
  }

  #marketCalls(plan: Plan, around: Surroundings, shape: Random) {
    const payer = payerOf(plan.actions[0]!);
    const failsInside = plan.kind === "failed" && shape.chance(0.4);
    const target: Call[] = [];
    let events: MarketEvent[] = [];
    for (const [i, action] of plan.actions.entries()) {
      const emitted = this.#execute(action, around.now, plan.kind === "failed");
      if (emitted === null && i === 0) return null;
      if (emitted === null) continue;
      if (i === 0) events = emitted;
      target.push(this.#targetCall(action, emitted, shape, around, failsInside ? LIQUIDITY_LOCKED : null));
    }
    const calls: Call[] = shape.chance(0.8) ? computeBudgetCalls(UNIT_LIMIT, shape.int(60_000)) : [];
    if (shape.chance(this.#rates.precompile)) calls.push(precompileCall(shape));
    if (shape.chance(this.#rates.routed)) calls.push(routerCall(payer, target));
    else {
      // A precompile between two calls of the program shifts whoever pairs instructions with log lines by counting.
      for (const [i, call] of target.entries()) {
        if (i > 0 && shape.chance(this.#rates.precompile * 4)) calls.push(precompileCall(shape));
        calls.push(call);
      }
    }
    if (shape.chance(this.#rates.decoys)) calls.push(memoCall("the last one failed, this one is a success"));
    const lost = plan.lost === null ? null : this.#lostCall(plan.lost, around, shape);
    if (lost !== null) calls.push(chatterCall(payer), lost);
    if (plan.kind === "failed" && !failsInside) calls.push(guardCall(payer, SLIPPAGE_EXCEEDED));
    else if (shape.chance(0.15)) calls.push(guardCall(payer, null));
    if (shape.chance(0.2)) calls.push(systemTransfer(payer, plan.actions[0]!.token.definition.feeRecipient, 1_000));
    return { calls, events };
  }

  #execute(action: Action, now: number, withoutEffect: boolean): MarketEvent[] | null {
    return withoutEffect && action.kind !== "create"
      ? this.#market.preview(action, now)
      : this.#market.apply(action, now);
  }

  #targetCall(
    action: Action,
    events: readonly MarketEvent[],
    shape: Random,
    { grown }: Surroundings,
    error: number | null,
  ): Call {
    const rates = this.#rates;
    const manner: Manner = {
      emitCpi: shape.chance(rates.emitCpi),
      decoys: shape.chance(rates.decoys),
      hook: shape.chance(rates.hook),
      unknown: shape.chance(rates.unknown),
      quarantined: shape.chance(rates.quarantined),
      grown,
      error,
    };
    return targetCall({ program: this.#program, action, events, manner, random: shape });
  }

  /** A call whose only event will be lost. One with side effects is not made: nobody could tell what became of them. */
  #lostCall(action: Action, { now, grown }: Surroundings, shape: Random): Call | null {
    if (action.kind === "create" || this.#market.preview(action, now)?.length !== 1) return null;
    const manner: Manner = {
      emitCpi: false,
      decoys: false,
      hook: false,
      unknown: false,
      quarantined: false,
      grown,
      error: null,
    };
    const events = this.#market.apply(action, now) ?? [];
    return targetCall({ program: this.#program, action, events, manner, random: shape });
  }
}

function record(draft: Draft, outcome: Outcome): TransactionRecord {
  return {
    signature: draft.signatures[0]!,
    failed: outcome.failure !== null,
    truncated: outcome.truncated,
    placements: outcome.placements,
  };
}

/** SOL and tokens that change hands, for the balances before and after. */
function settlement(action: Action, events: readonly MarketEvent[], random: Random) {
  const { token } = action;
  const owner = payerOf(action);
  const event = events[0];
  const swap = event?.kind === "buy_sell" ? event : undefined;
  const payment = swap === undefined ? 0 : Number(swap.is_buy ? swap.sol_amount : -swap.sol_amount);
  const moved = swap === undefined ? 0n : swap.is_buy ? swap.token_amount : -swap.token_amount;
  const held = BigInt(random.u32()) * 1_000n + (moved < 0n ? -moved : 0n);
  const user: Account = tokenAccount(token, owner);
  const pool = token.state.reserve + (moved > 0n ? moved : 0n);
  const tokenMoves: TokenMove[] = [
    { account: user, mint: token.definition.mint, owner, before: held, after: held + moved },
    {
      account: token.definition.poolToken,
      mint: token.definition.mint,
      owner: token.definition.curve,
      before: pool,
      after: pool - moved,
    },
  ];
  return { payment, counterparty: token.definition.poolSol, tokenMoves: action.kind === "create" ? [] : tokenMoves };
}
