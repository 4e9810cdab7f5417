/** Blocks for tests and benchmarks: a small protobuf writer of its own, so that the reader is not tested against itself. */

/** An encoded field: tag and value. */
export type Field = Uint8Array;

export interface FixtureInstruction {
  /** Index into keys, then writable, then readonly. */
  readonly program: number;
  readonly data?: Uint8Array;
  readonly accounts?: Uint8Array;
  /** Recorded for inner instructions only. */
  readonly height?: number;
}

export interface FixtureTransaction {
  readonly signature?: Uint8Array;
  readonly keys: readonly Uint8Array[];
  readonly writable?: readonly Uint8Array[];
  readonly readonly?: readonly Uint8Array[];
  readonly instructions: readonly FixtureInstruction[];
  readonly inner?: readonly { readonly index: number; readonly instructions: readonly FixtureInstruction[] }[];
  readonly logs?: readonly string[];
  readonly failed?: boolean;
  /** More encoded fields of the meta: balances, rewards. */
  readonly moreMeta?: Uint8Array;
}

export function varint(value: number | bigint): number[] {
  const out: number[] = [];
  let rest = BigInt(value);
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  out.push(Number(rest));
  return out;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function littleEndian(value: bigint, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

export function bytesField(field: number, value: Uint8Array): Field {
  return concat([Uint8Array.from([...varint((field << 3) | 2), ...varint(value.length)]), value]);
}

export function textField(field: number, value: string): Field {
  return bytesField(field, new TextEncoder().encode(value));
}

export function varintField(field: number, value: number | bigint): Field {
  return Uint8Array.from([...varint(field << 3), ...varint(value)]);
}

export function messageField(field: number, parts: readonly Field[]): Field {
  return bytesField(field, concat(parts));
}

/** A key that says its number in every byte. */
export function keyOf(number: number): Uint8Array {
  return new Uint8Array(32).fill(number);
}

export function signatureOf(number: number): Uint8Array {
  return new Uint8Array(64).fill(number);
}

export function instructionFields(instruction: FixtureInstruction): Field[] {
  const fields = [
    varintField(1, instruction.program),
    bytesField(2, instruction.accounts ?? new Uint8Array(0)),
    bytesField(3, instruction.data ?? new Uint8Array(0)),
  ];
  if (instruction.height !== undefined) fields.push(varintField(4, instruction.height));
  return fields;
}

/** `sf.solana.type.v1.Transaction` */
export function signedFields(tx: FixtureTransaction): Field[] {
  const message = [
    messageField(1, [varintField(1, 1)]),
    ...tx.keys.map((key) => bytesField(2, key)),
    bytesField(3, keyOf(250)),
    ...tx.instructions.map((instruction) => messageField(4, instructionFields(instruction))),
    varintField(5, 1),
  ];
  return [bytesField(1, tx.signature ?? signatureOf(1)), messageField(2, message)];
}

/** `sf.solana.type.v1.TransactionStatusMeta` */
export function metaFields(tx: FixtureTransaction): Field[] {
  return [
    ...(tx.failed === true ? [messageField(1, [bytesField(1, Uint8Array.of(8, 0, 0, 0))])] : []),
    varintField(2, 5000),
    ...(tx.inner ?? []).map((group) =>
      messageField(5, [
        varintField(1, group.index),
        ...group.instructions.map((instruction) => messageField(2, instructionFields(instruction))),
      ]),
    ),
    ...(tx.logs ?? []).map((line) => textField(6, line)),
    ...(tx.moreMeta === undefined ? [] : [tx.moreMeta]),
    ...(tx.writable ?? []).map((key) => bytesField(12, key)),
    ...(tx.readonly ?? []).map((key) => bytesField(13, key)),
    varintField(16, 123_456),
  ];
}

export function transactionFields(tx: FixtureTransaction): Field[] {
  return [messageField(1, signedFields(tx)), messageField(2, metaFields(tx))];
}

/** `sf.substreams.solana.v1.Transactions` */
export function encodeTransactions(transactions: readonly FixtureTransaction[]): Uint8Array {
  return concat(transactions.map((tx) => messageField(1, transactionFields(tx))));
}

/** `sf.solana.type.v1.Block` */
export function encodeBlock(transactions: readonly FixtureTransaction[]): Uint8Array {
  return concat([
    textField(1, "previous"),
    textField(2, "hash"),
    varintField(3, 1),
    ...transactions.map((tx) => messageField(4, transactionFields(tx))),
    messageField(6, [varintField(1, 1_700_000_000)]),
    varintField(20, 300_000_000),
  ]);
}

/** A `Program data: ` line for a payload. */
export function dataLine(...chunks: readonly Uint8Array[]): string {
  return `Program data: ${chunks.map((chunk) => Buffer.from(chunk).toString("base64")).join(" ")}`;
}
