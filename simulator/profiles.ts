/** How much of everything a simulation contains. One table, so that a profile reads like a description of its chain. */

export interface Rates {
  /** Transactions with market actions in a block, lowest and highest. */
  readonly transactions: readonly [low: number, high: number];
  /** Traders who ever act; the first ones act most. */
  readonly traders: number;
  /** Tokens created at the start of the chain, before anything else. */
  readonly firstTokens: number;
  /** Tokens after which no more are created. Bounds memory and the truth's per-mint list. */
  readonly tokensMax: number;

  // Share of market transactions that ...
  readonly create: number;
  /** ... carry a second action. */
  readonly secondAction: number;
  /** ... fail after the program has logged its events. */
  readonly failed: number;
  /** ... lose their last event because the log is full. */
  readonly truncated: number;
  readonly versioned: number;
  /** ... reach the program by CPI from a router. */
  readonly routed: number;
  /** ... have a precompile instruction before the program's, which leaves no trace in the log. */
  readonly precompile: number;

  // Share of the program's calls that ...
  /** ... carry their events as `emit_cpi!` self-CPIs instead of log lines. */
  readonly emitCpi: number;
  /** ... log lines that imitate the runtime's own, or contain "success" and "failed". */
  readonly decoys: number;
  /** ... call a foreign program that logs payloads with the target's discriminators. */
  readonly hook: number;
  /** ... log a payload with a discriminator that no IDL knows. */
  readonly unknown: number;
  /** ... log a payload of a known event that is too short for any layout. */
  readonly quarantined: number;

  /** Noise transactions that only mention the program, per block. */
  readonly mentions: number;
  /** Votes and foreign trades in a block of "block" output. */
  readonly votes: number;
  readonly foreign: number;

  // Shares of blocks.
  readonly emptyBlock: number;
  /** Without matches, and not delivered by a filtered module. */
  readonly silentBlock: number;
  readonly skippedSlots: number;
  /** Blocks before which the chain turns back. */
  readonly undo: number;
  /** Undos that are followed at once by a second, deeper one. */
  readonly undoTwice: number;

  /** Share of losing closes that report a profit wrapped below zero, near 2^64. Off: such sums look odd in a demo. */
  readonly wrappedProfit: number;
}

export type Profile = "market" | "dense";

export const PROFILES: Readonly<Record<Profile, Rates>> = {
  /** A lively launchpad with every nuisance that real blocks hold. */
  market: {
    transactions: [2, 16],
    traders: 500,
    firstTokens: 3,
    tokensMax: 1_000,
    create: 0.02,
    secondAction: 0.12,
    failed: 0.06,
    truncated: 0.012,
    versioned: 0.45,
    routed: 0.15,
    precompile: 0.03,
    emitCpi: 0.08,
    decoys: 0.08,
    hook: 0.05,
    unknown: 0.02,
    quarantined: 0.008,
    mentions: 0.4,
    votes: 4,
    foreign: 2,
    emptyBlock: 0.06,
    silentBlock: 0.08,
    skippedSlots: 0.05,
    undo: 0.05,
    undoTwice: 0.3,
    wrappedProfit: 0,
  },
  /** About 400 transactions a block, mostly one event each, few forks: for measuring throughput. */
  dense: {
    transactions: [380, 420],
    traders: 5_000,
    firstTokens: 100,
    tokensMax: 2_000,
    create: 0.002,
    secondAction: 0.02,
    failed: 0.02,
    truncated: 0.0005,
    versioned: 0.5,
    routed: 0.1,
    precompile: 0.005,
    emitCpi: 0.05,
    decoys: 0.01,
    hook: 0.01,
    unknown: 0.002,
    quarantined: 0.0005,
    mentions: 2,
    votes: 4,
    foreign: 2,
    emptyBlock: 0.005,
    silentBlock: 0.005,
    skippedSlots: 0.05,
    undo: 0.004,
    undoTwice: 0.2,
    wrappedProfit: 0,
  },
};
