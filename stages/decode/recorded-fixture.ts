/**
 * Transactions recorded on the public chain, as fixture transactions. The recordings lack what decoding does not need
 * (accounts, most instruction data), so the instruction tree is rebuilt from the log with regular expressions, apart from
 * the code under test, and what was recorded is laid over it.
 */
import { existsSync, readFileSync } from "node:fs";
import bs58 from "bs58";
import {
  concat,
  type FixtureInstruction,
  type FixtureTransaction,
  messageField,
  textField,
  varintField,
} from "./block-fixture.ts";

const ROOT = new URL("../../../shared/data/", import.meta.url);

/** False where the recordings are not beside the project; tests of them are then left out. */
export const hasRecordings = existsSync(ROOT);

export function recordedJson<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(path, ROOT), "utf8"));
}

/** An instruction of the tree: the invocation number `index` of the log. */
export interface Invocation {
  readonly program: string;
  readonly height: number;
  /** "2", "2.0". */
  readonly path: string;
}

/** The tree as the log tells it. */
export function invocationsOf(logs: readonly string[]): Invocation[] {
  let top = -1;
  let inner = -1;
  return logs.flatMap((line) => {
    const match = /^Program ([1-9A-HJ-NP-Za-km-z]{32,44}) invoke \[(\d+)\]$/.exec(line);
    if (match === null) return [];
    const height = Number(match[2]);
    inner = height === 1 ? -1 : inner + 1;
    if (height === 1) top++;
    return [{ program: match[1]!, height, path: height === 1 ? `${top}` : `${top}.${inner}` }];
  });
}

/** A transaction of that tree; `data` and `accounts` are those of instructions by path. */
export function transactionOf(
  logs: readonly string[],
  data: ReadonlyMap<string, Uint8Array>,
  signature: Uint8Array,
  accounts: ReadonlyMap<string, readonly string[]> = new Map(),
): FixtureTransaction {
  const invocations = invocationsOf(logs);
  const named = [...accounts.values()].flat();
  const programs = [...new Set([...invocations.map((invocation) => invocation.program), ...named])];
  const instruction = ({ program, height, path }: Invocation): FixtureInstruction => ({
    program: programs.indexOf(program),
    height,
    data: data.get(path) ?? new Uint8Array(0),
    accounts: Uint8Array.from((accounts.get(path) ?? []).map((account) => programs.indexOf(account))),
  });
  const tops = invocations.filter(({ height }) => height === 1);
  return {
    signature,
    keys: programs.map((program) => bs58.decode(program)),
    instructions: tops.map(instruction),
    inner: tops.map((_, index) => ({
      index,
      instructions: invocations.filter(({ path }) => path.startsWith(`${index}.`)).map(instruction),
    })),
    logs,
  };
}

interface VixenInstruction {
  readonly ix_index: readonly [number, number];
  readonly program: readonly number[];
  readonly accounts: readonly (readonly number[])[];
  readonly data: readonly number[];
  readonly inner: readonly VixenInstruction[];
}

/** A recording with some of its instructions: top-level ones, or inner ones by their index in the flattened list. */
export function vixenTransaction(signature: string): { transaction: FixtureTransaction; recordedPaths: string[] } {
  const recorded = recordedJson<{ instructions: VixenInstruction[]; log_messages: string[] }>(
    `transactions/vixen_${signature}_tx.json`,
  );
  const invocations = invocationsOf(recorded.log_messages);
  const data = new Map<string, Uint8Array>();
  const accounts = new Map<string, string[]>();
  const place = (instruction: VixenInstruction): void => {
    const [top, index] = instruction.ix_index;
    const program = bs58.encode(Uint8Array.from(instruction.program));
    // [2, 0] may be the third instruction or the first of its inner list: the program that ran there tells.
    const candidates = [...(index === 0 ? [`${top}`] : []), `${top}.${index}`];
    const path = candidates.find((p) => !data.has(p) && invocations.some((i) => i.path === p && i.program === program));
    if (path === undefined) throw new Error(`${signature}: nothing ran ${program} at ${candidates.join(" or ")}`);
    data.set(path, Uint8Array.from(instruction.data));
    accounts.set(
      path,
      instruction.accounts.map((account) => bs58.encode(Uint8Array.from(account))),
    );
    instruction.inner.forEach(place);
  };
  recorded.instructions.forEach(place);
  const transaction = transactionOf(recorded.log_messages, data, bs58.decode(signature), accounts);
  return { transaction, recordedPaths: [...data.keys()] };
}

interface CarbonMeta {
  readonly innerInstructions: readonly {
    readonly index: number;
    readonly instructions: readonly {
      readonly accounts: readonly number[];
      readonly data: string;
      readonly programIdIndex: number;
      readonly stackHeight: number;
    }[];
  }[];
  readonly loadedAddresses: { readonly writable: readonly string[]; readonly readonly: readonly string[] };
  readonly logMessages: readonly string[];
  readonly postBalances: readonly number[];
  readonly postTokenBalances?: readonly TokenBalance[] | null;
}

/** As the RPC writes it. */
export interface TokenBalance {
  readonly accountIndex: number;
  readonly mint: string;
  readonly uiTokenAmount: { readonly decimals: number };
}

/** `sf.solana.type.v1.TokenBalance`, as `field` of the meta. */
export function balanceField(field: number, { accountIndex, mint, uiTokenAmount }: TokenBalance): Uint8Array {
  const amount = messageField(3, [varintField(2, uiTokenAmount.decimals)]);
  return messageField(field, [varintField(1, accountIndex), textField(2, mint), amount]);
}

/**
 * A recorded meta with its own account indexes and lookup tables. Static keys are not recorded: they are filled with the
 * programs that the log names at the indexes that the instructions use.
 */
export function carbonTransaction(name: string, topLevelIndexes: readonly number[]): FixtureTransaction {
  const meta = recordedJson<CarbonMeta>(`transactions/carbon_${name}_tx.json`);
  const { writable, readonly } = meta.loadedAddresses;
  const staticCount = meta.postBalances.length - writable.length - readonly.length;
  const keys = Array.from({ length: staticCount }, (): Uint8Array => new Uint8Array(32).fill(0xaa));
  const invocations = invocationsOf(meta.logMessages);
  const assign = (index: number, program: string | undefined) => {
    if (index < staticCount && program !== undefined) keys[index] = bs58.decode(program);
  };
  for (const { index, instructions } of meta.innerInstructions) {
    instructions.forEach((instruction, i) => {
      assign(instruction.programIdIndex, invocations.find(({ path }) => path === `${index}.${i}`)?.program);
    });
  }
  topLevelIndexes.forEach((key, top) => {
    assign(key, invocations.find(({ path }) => path === `${top}`)?.program);
  });
  return {
    keys,
    writable: writable.map((address) => bs58.decode(address)),
    readonly: readonly.map((address) => bs58.decode(address)),
    instructions: topLevelIndexes.map((program) => ({ program })),
    inner: meta.innerInstructions.map(({ index, instructions }) => ({
      index,
      instructions: instructions.map((i) => ({
        program: i.programIdIndex,
        height: i.stackHeight,
        data: bs58.decode(i.data),
        accounts: Uint8Array.from(i.accounts),
      })),
    })),
    logs: meta.logMessages,
    moreMeta: concat((meta.postTokenBalances ?? []).map((balance) => balanceField(8, balance))),
  };
}
