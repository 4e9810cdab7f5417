/**
 * A reader of simulated recordings for the simulator's own tests: slow, plain and written without the code that made
 * them. It parses messages with the demo package's descriptors, keeps every block in memory, follows undos by dropping
 * blocks, and finds the program's payloads by walking log and instructions side by side.
 */
import type { AnyMessage } from "@bufbuild/protobuf";
import { createRegistry, createSubstream } from "@substreams/core";
import { Response } from "@substreams/core/proto";
import bs58 from "bs58";
import { buildDemoPackage } from "./package.ts";
import type { SimulatedMessage } from "./simulation.ts";

/** JSON of the protobufs: bytes are base64, 64-bit integers text, absent fields undefined. */
export interface ReadTransaction {
  readonly transaction: {
    readonly signatures: readonly string[];
    readonly message: {
      readonly header: { readonly numRequiredSignatures: number; readonly numReadonlyUnsignedAccounts?: number };
      readonly accountKeys: readonly string[];
      readonly instructions: readonly ReadInstruction[];
      readonly versioned?: boolean;
      readonly addressTableLookups?: readonly { writableIndexes?: string; readonlyIndexes?: string }[];
    };
  };
  readonly meta: {
    readonly err?: { readonly err: string };
    readonly fee: string;
    readonly preBalances: readonly string[];
    readonly postBalances: readonly string[];
    readonly innerInstructions?: readonly { index?: number; instructions: readonly ReadInstruction[] }[];
    readonly logMessages?: readonly string[];
    readonly preTokenBalances?: readonly { mint: string }[];
    readonly loadedWritableAddresses?: readonly string[];
    readonly loadedReadonlyAddresses?: readonly string[];
  };
}

export interface ReadInstruction {
  readonly programIdIndex?: number;
  readonly accounts?: string;
  readonly data?: string;
  readonly stackHeight?: number;
}

export interface ReadBlock {
  readonly slot: number;
  readonly hash: string;
  readonly time: number;
  readonly cursor: string;
  readonly finalHeight: number;
  /** Encoded module output; null when the message had none. */
  readonly output: { readonly typeName: string; readonly value: Uint8Array } | null;
}

export interface ReadUndo {
  readonly slot: number;
  readonly hash: string;
  readonly cursor: string;
}

export type ReadMessage = { readonly block: ReadBlock } | { readonly undo: ReadUndo };

const registry = createRegistry(createSubstream(buildDemoPackage()));

export function readMessage({ response }: Pick<SimulatedMessage, "response">): ReadMessage {
  const { message } = Response.fromBinary(response);
  if (message.case === "blockUndoSignal") {
    const { lastValidBlock, lastValidCursor } = message.value;
    return { undo: { slot: Number(lastValidBlock!.number), hash: lastValidBlock!.id, cursor: lastValidCursor } };
  }
  if (message.case !== "blockScopedData") throw new Error(`unexpected message ${message.case}`);
  const { clock, cursor, finalBlockHeight, output } = message.value;
  const any = output?.mapOutput;
  return {
    block: {
      slot: Number(clock!.number),
      hash: clock!.id,
      time: Number(clock!.timestamp!.seconds),
      cursor,
      finalHeight: Number(finalBlockHeight),
      output: any === undefined ? null : { typeName: any.typeUrl.split("/")[1]!, value: any.value },
    },
  };
}

/** The blocks that survive: an undo drops everything above its block. */
export function survivors(messages: readonly ReadMessage[]): ReadBlock[] {
  let chain: ReadBlock[] = [];
  for (const message of messages) {
    if ("block" in message) chain.push(message.block);
    else chain = chain.filter((block) => block.slot <= message.undo.slot);
  }
  return chain;
}

export function readOutput(block: ReadBlock): { message: AnyMessage | null; transactions: readonly ReadTransaction[] } {
  if (block.output === null) return { message: null, transactions: [] };
  const type = registry.findMessage(block.output.typeName);
  const message = type!.fromBinary(block.output.value) as AnyMessage;
  const json = message.toJson({ typeRegistry: registry }) as { transactions?: readonly ReadTransaction[] };
  return { message, transactions: json.transactions ?? [] };
}

/** Account keys with those loaded from tables behind them, base58. */
export function accountsOf(tx: ReadTransaction): string[] {
  const loaded = [...(tx.meta.loadedWritableAddresses ?? []), ...(tx.meta.loadedReadonlyAddresses ?? [])];
  return [...tx.transaction.message.accountKeys, ...loaded].map((key) => bs58.encode(Buffer.from(key, "base64")));
}

export interface Invocation {
  readonly path: string;
  readonly program: string;
  readonly height: number;
  readonly parent: string | null;
  readonly data: Buffer;
  /** What it logged with "Program data:", in order. */
  readonly payloads: Buffer[];
}

export interface Walk {
  readonly invocations: readonly Invocation[];
  readonly truncated: boolean;
  /** Programs still running when the log ends. */
  readonly unfinished: number;
  /** Payloads in execution order, logged ones and the data of self-CPIs' instructions alike. */
  readonly order: readonly {
    readonly invocation: Invocation;
    readonly payload: Buffer | null;
    readonly ordinal: number;
  }[];
}

const SILENT_PROGRAMS = new Set([
  "Ed25519SigVerify111111111111111111111111111",
  "KeccakSecp256k11111111111111111111111111111",
]);

/** All instructions in the order in which they ran. */
function invocationsOf(tx: ReadTransaction): Invocation[] {
  const accounts = accountsOf(tx);
  const out: Invocation[] = [];
  const invocation = (ix: ReadInstruction, path: string, height: number): Invocation => {
    const parent = out.findLast((other) => other.height === height - 1)?.program ?? null;
    const data = Buffer.from(ix.data ?? "", "base64");
    return {
      path,
      program: accounts[ix.programIdIndex ?? 0]!,
      height,
      parent: height === 1 ? null : parent,
      data,
      payloads: [],
    };
  };
  for (const [top, ix] of tx.transaction.message.instructions.entries()) {
    out.push(invocation(ix, `${top}`, 1));
    const inner = tx.meta.innerInstructions?.find((group) => (group.index ?? 0) === top);
    for (const [i, ix] of (inner?.instructions ?? []).entries())
      out.push(invocation(ix, `${top}.${i}`, ix.stackHeight!));
  }
  return out;
}

/** Pairs log and instructions; throws where the two do not agree. */
export function walk(tx: ReadTransaction): Walk {
  const invocations = invocationsOf(tx);
  const stack: Invocation[] = [];
  const order: { invocation: Invocation; payload: Buffer | null; ordinal: number }[] = [];
  let next = 0;
  const start = (program: string, height: number) => {
    while (SILENT_PROGRAMS.has(invocations[next]?.program ?? "")) next++;
    const invocation = invocations[next++];
    if (invocation?.program !== program || invocation.height !== height || stack.length !== height - 1) {
      throw new Error(`log invokes ${program} [${height}], instructions have ${JSON.stringify(invocation)}`);
    }
    stack.push(invocation);
    order.push({ invocation, payload: null, ordinal: 0 });
  };
  for (const line of tx.meta.logMessages ?? []) {
    const invoke = /^Program (\w{32,44}) invoke \[(\d)\]$/.exec(line);
    const done = /^Program (\w{32,44}) (success|failed: [^\n]*)$/.exec(line);
    const consumed = /^Program (\w{32,44}) consumed (\d+) of (\d+) compute units$/.exec(line);
    if (line === "Log truncated") {
      for (; next < invocations.length; next++)
        order.push({ invocation: invocations[next]!, payload: null, ordinal: 0 });
      return { invocations, truncated: true, unfinished: stack.length, order };
    }
    if (invoke) start(invoke[1]!, Number(invoke[2]));
    else if (done) {
      if (stack.pop()?.program !== done[1]) throw new Error(`${line}: not the running program`);
    } else if (consumed) {
      if (stack.at(-1)?.program !== consumed[1] || Number(consumed[2]) > Number(consumed[3])) throw new Error(line);
    } else if (line.startsWith("Program data: ")) {
      const invocation = stack.at(-1)!;
      const payload = Buffer.from(line.slice(14), "base64");
      order.push({ invocation, payload, ordinal: invocation.payloads.push(payload) - 1 });
    } else if (!/^Program (log|return): /.test(line)) throw new Error(`unexpected line: ${line}`);
  }
  return { invocations, truncated: false, unfinished: stack.length, order };
}
