/** What surrounds an event: the accounts of the instruction that emitted it, who signed, which tokens were touched. */
import type { BlockReader } from "./block-reader.ts";
import { ABSENT, type Layout } from "./layout.ts";
import type { AccountGroups } from "./program.ts";
import type { ProgramDecoder } from "./program-decoder.ts";
import { ADDRESS_BYTES } from "./program-set.ts";
import { TokenBalances } from "./token-balances.ts";

/** An address: 32 bytes at `at` of `in`. */
export interface Found {
  in: Uint8Array;
  at: number;
}

export class Surroundings {
  private readonly reader: BlockReader;
  private readonly programs: readonly ProgramDecoder[];
  private readonly balances: TokenBalances;
  private transaction = 0;
  private instruction = -1;
  // Those of the instruction's accounts that are meant: an instruction of a batch has some of the batch's.
  private firstAccount = 0;
  private accountsMax = 0;

  constructor(reader: BlockReader, programs: readonly ProgramDecoder[]) {
    this.reader = reader;
    this.programs = programs;
    this.balances = new TokenBalances(reader);
  }

  startBlock(): void {
    this.balances.startBlock();
  }

  startTransaction(t: number): void {
    this.transaction = t;
    this.instruction = -1;
  }

  /**
   * The event is one of this instruction; -1 when that is not known. An instruction of a batch is given the batch's
   * accounts [firstAccount, + accounts).
   */
  enter(instruction: number, firstAccount = 0, accounts = Number.POSITIVE_INFINITY): void {
    this.instruction = instruction;
    this.firstAccount = firstAccount;
    this.accountsMax = accounts;
  }

  /**
   * The account that the instruction's description gives that name, or that of the group that the event is of, whose
   * fields `layout` has located in `bytes`; false when there is none.
   */
  account(name: string, found: Found, layout: Layout, bytes: Uint8Array): boolean {
    const { instruction } = this;
    if (instruction < 0) return false;
    const { program, dataStart, dataEnd } = this.reader.instructions;
    const decoder = this.programs[program.at(instruction) - 1];
    const form = decoder?.instructionAt(this.reader.bytes, dataStart.at(instruction), dataEnd.at(instruction));
    if (form === undefined) return false;
    const index = form.accountIndex.get(name);
    if (index !== undefined) return this.accountAt(index, found);
    return form.groups !== null && this.accountOfGroup(name, form.groups, form.accounts, found, layout, bytes);
  }

  private accountOfGroup(
    name: string,
    { accounts, key }: AccountGroups,
    first: number,
    found: Found,
    layout: Layout,
    bytes: Uint8Array,
  ): boolean {
    const place = accounts.indexOf(name);
    const at = layout.at[layout.indexOf(key)] ?? ABSENT;
    if (place < 0 || at === ABSENT) return false;
    const named = bytes.subarray(at, at + ADDRESS_BYTES);
    for (let group = first; group + accounts.length <= this.accounts; group += accounts.length) {
      if (!this.accountAt(group + accounts.indexOf(key), found) || !sameAddress(found, named)) continue;
      return this.accountAt(group + place, found);
    }
    return false;
  }

  /** The account at that place of the instruction's list; false when there is none, or one that stands for "none". */
  accountAt(index: number, found: Found): boolean {
    const key = this.keyIndex(index);
    if (key < 0) return false;
    const { reader } = this;
    const at = reader.keyFrom.at(this.transaction) + key;
    // Anchor passes the program itself for an optional account that is not there.
    if (reader.keyProgram.at(at) === reader.instructions.program.at(this.instruction)) return false;
    found.in = reader.bytes;
    found.at = reader.keyStart.at(at);
    return true;
  }

  /** How many accounts the instruction was given. */
  get accounts(): number {
    if (this.instruction < 0) return 0;
    const { accountsStart, accountsEnd } = this.reader.instructions;
    const given = accountsEnd.at(this.instruction) - accountsStart.at(this.instruction);
    return Math.max(0, Math.min(given - this.firstAccount, this.accountsMax));
  }

  /** The first signer, who pays the fees. */
  signer(found: Found): boolean {
    const at = this.reader.keyFrom.at(this.transaction);
    if (at >= this.reader.keyFrom.at(this.transaction + 1)) return false;
    found.in = this.reader.bytes;
    found.at = this.reader.keyStart.at(at);
    return true;
  }

  /** Mint of the token account that stands at that place of the instruction's list. */
  mintOfTokenAccount(index: number, found: Found): boolean {
    const key = this.keyIndex(index);
    const mint = key < 0 ? null : this.balances.mintOfAccount(this.transaction, key);
    if (mint === null) return false;
    found.in = mint;
    found.at = 0;
    return true;
  }

  decimals(mint: Found): number | null {
    return this.balances.decimals(this.transaction, mint.in, mint.at);
  }

  /** Index among the transaction's keys, or -1. */
  private keyIndex(index: number): number {
    if (index < 0 || index >= this.accounts) return -1;
    const { reader, instruction, transaction, firstAccount } = this;
    const key = reader.bytes[reader.instructions.accountsStart.at(instruction) + firstAccount + index]!;
    const keys = reader.keyFrom.at(transaction + 1) - reader.keyFrom.at(transaction);
    return key < keys ? key : -1;
  }
}

export function sameAddress(a: Found, b: Uint8Array): boolean {
  for (let i = 0; i < ADDRESS_BYTES; i++) if (a.in[a.at + i] !== b[i]) return false;
  return true;
}
