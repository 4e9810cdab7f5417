/**
 * Encodes a transaction as `sf.solana.type.v1.ConfirmedTransaction`: which accounts it names and in which order (static
 * keys, then those loaded from lookup tables, writable before read-only), its instructions, and what running it left.
 */
import { type Account, LOOKUP_TABLES, PROGRAMS } from "./accounts.ts";
import type { ProtoWriter } from "./protobuf.ts";
import type { Random } from "./random.ts";
import { type Call, Execution, type Outcome, writeIndexes } from "./runtime.ts";

export interface TokenMove {
  readonly account: Account;
  readonly mint: Account;
  readonly owner: Account;
  /** Base units before and after. */
  readonly before: bigint;
  readonly after: bigint;
}

/** A transaction before it runs. */
export interface Draft {
  /** One per signer; the first is the transaction's id. */
  readonly signatures: readonly Uint8Array[];
  /** The fee payer first. */
  readonly signers: readonly Account[];
  readonly recentBlockhash: Uint8Array;
  readonly calls: readonly Call[];
  /** A version 0 message that loads accounts from lookup tables. */
  readonly versioned: boolean;
  readonly unitLimit: number;
  readonly feeLamports: number;
  /** Lamports that go from the payer to `counterparty` when it succeeds; negative the other way. */
  readonly payment: number;
  readonly counterparty: Account;
  readonly tokenMoves: readonly TokenMove[];
}

interface AccountTable {
  readonly keys: readonly Account[];
  readonly readonlyKeys: number;
  readonly loadedWritable: readonly Account[];
  readonly loadedReadonly: readonly Account[];
  readonly index: ReadonlyMap<Account, number>;
}

const TOKEN_DECIMALS = 6;
const execution = new Execution();

/** Writes the transaction as field `field` and returns what running it did. */
export function writeTransaction(out: ProtoWriter, field: number, draft: Draft, random: Random): Outcome {
  const table = tabulate(draft);
  const outcome = execution.run(draft.calls, table.index, draft.unitLimit);
  const confirmed = out.begin(field);
  const transaction = out.begin(1);
  for (const signature of draft.signatures) out.bytes(1, signature);
  writeMessage(out, draft, table);
  out.end(transaction);
  writeMeta(out, draft, table, outcome, random);
  out.end(confirmed);
  return outcome;
}

function tabulate(draft: Draft): AccountTable {
  const seen = new Set<Account>(draft.signers);
  for (const call of draft.calls) gather(call, seen);
  for (const move of draft.tokenMoves) seen.add(move.account);
  seen.add(draft.counterparty);
  // Signers and programs of top-level instructions must be static keys; a version 0 message may load the rest.
  const fixed = new Set<Account>(draft.signers);
  for (const call of draft.calls) fixed.add(call.program);
  const writable: Account[] = [];
  const readonly: Account[] = [];
  const loadedWritable: Account[] = [];
  const loadedReadonly: Account[] = [];
  for (const account of seen) {
    const loads = draft.versioned && !fixed.has(account);
    if (account.readonly) (loads ? loadedReadonly : readonly).push(account);
    else if (!draft.signers.includes(account)) (loads ? loadedWritable : writable).push(account);
  }
  const keys = [...draft.signers, ...writable, ...readonly];
  const index = new Map<Account, number>();
  for (const account of [...keys, ...loadedWritable, ...loadedReadonly]) index.set(account, index.size);
  return { keys, readonlyKeys: readonly.length, loadedWritable, loadedReadonly, index };
}

function gather(call: Call, seen: Set<Account>): void {
  seen.add(call.program);
  for (const account of call.accounts) seen.add(account);
  for (const step of call.steps) if (step.kind === "call") gather(step.call, seen);
}

function writeMessage(out: ProtoWriter, draft: Draft, table: AccountTable): void {
  const message = out.begin(2);
  const header = out.begin(1);
  out.uint(1, draft.signers.length);
  out.uint(3, table.readonlyKeys);
  out.end(header);
  for (const account of table.keys) out.bytes(2, account.key);
  out.bytes(3, draft.recentBlockhash);
  for (const call of draft.calls) {
    const instruction = out.begin(4);
    out.uint(1, table.index.get(call.program)!);
    writeIndexes(out, 2, call.accounts, table.index);
    if (call.data.length > 0) out.bytes(3, call.data);
    out.end(instruction);
  }
  if (draft.versioned) {
    out.uint(5, 1);
    writeLookups(out, table);
  }
  out.end(message);
}

/** Shares the loaded accounts out over two tables, in order: that is how their addresses are put together again. */
function writeLookups(out: ProtoWriter, table: AccountTable): void {
  const halves = [0, 1].map((half) => ({
    writable: half === 0 ? Math.ceil(table.loadedWritable.length / 2) : Math.floor(table.loadedWritable.length / 2),
    readonly: half === 0 ? Math.ceil(table.loadedReadonly.length / 2) : Math.floor(table.loadedReadonly.length / 2),
  }));
  halves.forEach(({ writable, readonly }, half) => {
    if (writable + readonly === 0) return;
    const lookup = out.begin(6);
    out.bytes(1, LOOKUP_TABLES[half]!.key);
    writeRange(out, 2, 0, writable);
    writeRange(out, 3, 128, readonly);
    out.end(lookup);
  });
}

function writeRange(out: ProtoWriter, field: number, from: number, count: number): void {
  if (count === 0) return;
  const mark = out.begin(field);
  for (let i = 0; i < count; i++) out.byte(from + i);
  out.end(mark);
}

function writeMeta(out: ProtoWriter, draft: Draft, table: AccountTable, outcome: Outcome, random: Random): void {
  const meta = out.begin(2);
  const { failure } = outcome;
  if (failure !== null) {
    const error = out.begin(1);
    out.bytes(1, instructionError(failure.index, failure.code));
    out.end(error);
  }
  out.uint(2, draft.feeLamports);
  writeBalances(out, draft, table, failure === null, random);
  out.raw(execution.inner.view());
  out.raw(execution.logs.view());
  for (const move of draft.tokenMoves) writeTokenBalance(out, 7, move, move.before, table);
  for (const move of draft.tokenMoves) {
    writeTokenBalance(out, 8, move, failure === null ? move.after : move.before, table);
  }
  for (const account of table.loadedWritable) out.bytes(12, account.key);
  for (const account of table.loadedReadonly) out.bytes(13, account.key);
  out.presentUint(16, outcome.unitsConsumed);
  out.presentUint(17, outcome.unitsConsumed + 1_500);
  out.end(meta);
}

/** Bincode of TransactionError::InstructionError(index, InstructionError::Custom(code)). */
function instructionError(index: number, code: number): Uint8Array {
  const bytes = new Uint8Array(13);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 8, true);
  bytes[4] = index;
  view.setUint32(5, 25, true);
  view.setUint32(9, code, true);
  return bytes;
}

/** Balances before and after: the fee leaves, the payment changes hands, nothing else is lost or made. */
function writeBalances(out: ProtoWriter, draft: Draft, table: AccountTable, ok: boolean, random: Random): void {
  const moved = ok ? draft.payment : 0;
  const balances: number[] = [];
  for (const account of table.index.keys()) {
    if (account.readonly) balances.push(1_141_440);
    else if (account === draft.signers[0]) balances.push(500_000_000_000 + random.int(1_000_000_000));
    else if (account === draft.counterparty) balances.push(500_000_000_000);
    else balances.push(2_039_280);
  }
  const counterparty = table.index.get(draft.counterparty)!;
  for (const field of [3, 4]) {
    if (field === 4) {
      balances[0]! -= draft.feeLamports + moved;
      balances[counterparty]! += moved;
    }
    const packed = out.begin(field);
    for (const balance of balances) out.varint(balance);
    out.end(packed);
  }
}

function writeTokenBalance(
  out: ProtoWriter,
  field: number,
  move: TokenMove,
  amount: bigint,
  table: AccountTable,
): void {
  const balance = out.begin(field);
  out.uint(1, table.index.get(move.account)!);
  out.bytes(2, move.mint.textBytes);
  const ui = out.begin(3);
  const digits = amount.toString();
  out.double(1, Number(amount) / 10 ** TOKEN_DECIMALS);
  out.uint(2, TOKEN_DECIMALS);
  writeDigits(out, 3, digits);
  writeDigits(out, 4, uiAmount(digits));
  out.end(ui);
  out.bytes(4, move.owner.textBytes);
  out.bytes(5, PROGRAMS.token.textBytes);
  out.end(balance);
}

function writeDigits(out: ProtoWriter, field: number, digits: string): void {
  const mark = out.begin(field);
  out.ascii(digits);
  out.end(mark);
}

/** Base units as a decimal number of tokens, without trailing zeros. */
function uiAmount(digits: string): string {
  const padded = digits.padStart(TOKEN_DECIMALS + 1, "0");
  const whole = padded.slice(0, -TOKEN_DECIMALS);
  const fraction = padded.slice(-TOKEN_DECIMALS).replace(/0+$/, "");
  return fraction === "" ? whole : `${whole}.${fraction}`;
}
