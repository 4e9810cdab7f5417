/**
 * `getBlock` answers of the public RPC as transactions for tests, in both of its encodings. Where it has parsed the SPL token
 * program's instructions for us, their bytes are made again from what it says of them.
 */
import bs58 from "bs58";
import {
  concat,
  type FixtureInstruction,
  type FixtureTransaction,
  littleEndian,
} from "../stages/decode/block-fixture.ts";
import { balanceField, type TokenBalance } from "../stages/decode/recorded-fixture.ts";

interface Instruction {
  readonly programId?: string;
  readonly programIdIndex?: number;
  readonly accounts?: readonly (string | number)[];
  readonly data?: string;
  readonly parsed?: { readonly type: string; readonly info: Readonly<Record<string, unknown>> };
  readonly stackHeight?: number | null;
}

interface Recorded {
  readonly transaction: {
    readonly signatures: readonly string[];
    readonly message: {
      readonly accountKeys: readonly (string | { readonly pubkey: string; readonly source?: string })[];
      readonly instructions: readonly Instruction[];
    };
  };
  readonly meta: {
    readonly err: unknown;
    readonly logMessages?: readonly string[] | null;
    readonly innerInstructions?:
      | readonly { readonly index: number; readonly instructions: readonly Instruction[] }[]
      | null;
    readonly loadedAddresses?: { readonly writable?: readonly string[]; readonly readonly?: readonly string[] };
    readonly preTokenBalances?: readonly TokenBalance[] | null;
    readonly postTokenBalances?: readonly TokenBalance[] | null;
  } | null;
}

export interface RecordedBlock {
  readonly transactions: readonly Recorded[];
}

export function transactionsOf(block: RecordedBlock): FixtureTransaction[] {
  return block.transactions.map(({ transaction, meta }) => {
    const all = transaction.message.accountKeys.map((key) => (typeof key === "string" ? key : key.pubkey));
    const writable = meta?.loadedAddresses?.writable ?? [];
    const readonly = meta?.loadedAddresses?.readonly ?? [];
    const keys = [...all, ...writable, ...readonly];
    const of = (instruction: Instruction) => instructionOf(instruction, keys);
    return {
      signature: bs58.decode(transaction.signatures[0]!),
      instructions: transaction.message.instructions.map(of),
      inner: (meta?.innerInstructions ?? []).map(({ index, instructions }) => ({
        index,
        instructions: instructions.map(of),
      })),
      keys: all.map((key) => bs58.decode(key)),
      writable: writable.map((key) => bs58.decode(key)),
      readonly: readonly.map((key) => bs58.decode(key)),
      logs: meta?.logMessages ?? [],
      failed: meta !== null && meta.err !== null,
      moreMeta: concat([
        ...(meta?.preTokenBalances ?? []).map((balance) => balanceField(7, balance)),
        ...(meta?.postTokenBalances ?? []).map((balance) => balanceField(8, balance)),
      ]),
    };
  });
}

function instructionOf(instruction: Instruction, keys: string[]): FixtureInstruction {
  const index = (key: string) => keys.indexOf(key);
  const program = instruction.programIdIndex ?? index(instruction.programId!);
  const height = instruction.stackHeight ?? undefined;
  const parsed = instruction.parsed === undefined ? null : splInstruction(instruction.parsed);
  const accounts = parsed?.accounts ?? instruction.accounts ?? [];
  return {
    program,
    data: parsed?.data ?? bs58.decode(instruction.data ?? ""),
    accounts: Uint8Array.from(accounts.map((account) => (typeof account === "number" ? account : index(account)))),
    ...(height === undefined ? {} : { height }),
  };
}

/** Instructions of the SPL token program that move tokens; of others only a first byte that none of these has. */
function splInstruction({ type, info }: NonNullable<Instruction["parsed"]>): { data: Uint8Array; accounts: string[] } {
  const amount = littleEndian(BigInt((info["amount"] as string | undefined) ?? 0), 8);
  const accounts = (...names: string[]) => names.map((name) => String(info[name]));
  if (type === "transfer" && info["authority"] !== undefined) {
    return { data: concat([Uint8Array.of(3), amount]), accounts: accounts("source", "destination", "authority") };
  }
  return { data: Uint8Array.of(250), accounts: [] };
}
