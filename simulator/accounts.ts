/** Addresses the simulated chain knows: accounts with lazily written base58 text, and programs with their log lines. */
import bs58 from "bs58";
import { base58 } from "./base58.ts";
import { Random } from "./random.ts";

export class Account {
  readonly key: Uint8Array;
  /** Read-only in every transaction: programs and sysvars. All else is writable, which is close enough to real life. */
  readonly readonly: boolean;
  #text: string | undefined;
  #textBytes: Uint8Array | undefined;

  constructor(key: Uint8Array, readonly = false) {
    this.key = key;
    this.readonly = readonly;
  }

  get text(): string {
    return (this.#text ??= base58(this.key));
  }

  /** The base58 text as bytes. */
  get textBytes(): Uint8Array {
    return (this.#textBytes ??= encoder.encode(this.text));
  }
}

/**
 * What a program leaves in the log. `bpf`: invoke, consumed, success. `native` (System, ComputeBudget, Vote): no
 * "consumed" line. `precompile` (ed25519, secp256k1): nothing at all, which shifts whoever counts invoke lines.
 */
export type Runtime = "bpf" | "native" | "precompile";

const MAX_DEPTH = 5;
const encoder = new TextEncoder();

export class Program extends Account {
  readonly runtime: Runtime;
  /** Lines "Program <id> invoke [n]" for n = 1.. at index n - 1. */
  readonly invoke: readonly Uint8Array[];
  readonly success: Uint8Array;
  readonly consumed: Uint8Array;

  constructor(key: Uint8Array, runtime: Runtime = "bpf") {
    super(key, true);
    this.runtime = runtime;
    this.invoke = Array.from({ length: MAX_DEPTH }, (_, i) => encoder.encode(`Program ${this.text} invoke [${i + 1}]`));
    this.success = encoder.encode(`Program ${this.text} success`);
    this.consumed = encoder.encode(`Program ${this.text} consumed `);
  }
}

function known(text: string, runtime: Runtime = "bpf"): Program {
  return new Program(bs58.decode(text), runtime);
}

/** A program that exists only here; the same in every simulation. */
function invented(index: number): Program {
  return new Program(new Random(0, "program", index).bytes(32));
}

export const PROGRAMS = {
  system: known("11111111111111111111111111111111", "native"),
  computeBudget: known("ComputeBudget111111111111111111111111111111", "native"),
  vote: known("Vote111111111111111111111111111111111111111", "native"),
  ed25519: known("Ed25519SigVerify111111111111111111111111111", "precompile"),
  secp256k1: known("KeccakSecp256k11111111111111111111111111111", "precompile"),
  token: known("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"),
  associatedToken: known("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"),
  memo: known("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"),
  /** Aggregator that reaches the target program by CPI. */
  router: invented(1),
  /** Called back by the target program and by others; logs payloads that look like the target's. */
  hook: invented(2),
  /** Checks at the end of a transaction whether the trade was good enough, and fails it where not. */
  guard: invented(3),
  /** Another exchange with events of its own. */
  exchange: invented(4),
  /** Logs until the log is full. */
  chatter: invented(5),
} as const;

export const SYSVARS = {
  rent: new Account(bs58.decode("SysvarRent111111111111111111111111111111111"), true),
  clock: new Account(bs58.decode("SysvarC1ock11111111111111111111111111111111"), true),
  slotHashes: new Account(bs58.decode("SysvarS1otHashes111111111111111111111111111"), true),
} as const;

/** Address lookup tables that versioned transactions load accounts from. */
export const LOOKUP_TABLES: readonly Account[] = [6, 7, 8].map(
  (i) => new Account(new Random(0, "program", i).bytes(32)),
);
