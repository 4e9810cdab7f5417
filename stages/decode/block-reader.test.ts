/**
 * Goal: the reader finds exactly what a block says, in execution order, whatever the order of fields, and keeps nothing of
 * transactions that are not ours. Method: blocks from a writer of its own, read back and compared as plain objects.
 */
import { describe, expect, test } from "bun:test";
import { Fatal, Poison } from "../../pipeline/errors.ts";
import {
  bytesField,
  concat,
  encodeBlock,
  encodeTransactions,
  type FixtureTransaction,
  keyOf,
  messageField,
  metaFields,
  signatureOf,
  signedFields,
  textField,
  transactionFields,
  varintField,
} from "./block-fixture.ts";
import { BlockReader } from "./block-reader.ts";
import { ProgramSet } from "./program-set.ts";
import { TRANSACTIONS_TYPE } from "./stage-fixture.ts";

const BLOCK_TYPE = "sf.solana.type.v1.Block";

function readerOf(payload: Uint8Array, typeName = TRANSACTIONS_TYPE): BlockReader {
  const reader = new BlockReader(new ProgramSet([keyOf(7), keyOf(8)]));
  reader.read(payload, typeName);
  return reader;
}

/** What was read, as plain values. */
function contentOf(reader: BlockReader) {
  const { instructions: list, bytes } = reader;
  return Array.from({ length: reader.transactions }, (_, t) => ({
    index: reader.txIndex.at(t),
    failed: reader.txFailed.at(t) === 1,
    signature: bytes[reader.txSignature.at(t)],
    keys: range(reader.keyFrom.at(t), reader.keyFrom.at(t + 1), (k) => reader.keyProgram.at(k)),
    instructions: range(reader.instructionFrom.at(t), reader.instructionFrom.at(t + 1), (i) => ({
      path: list.inner.at(i) < 0 ? `${list.top.at(i)}` : `${list.top.at(i)}.${list.inner.at(i)}`,
      program: list.program.at(i),
      caller: list.caller.at(i),
      height: list.height.at(i),
      data: [...bytes.subarray(list.dataStart.at(i), list.dataEnd.at(i))],
    })),
    logs: range(reader.logFrom.at(t), reader.logFrom.at(t + 1), (l) =>
      new TextDecoder().decode(bytes.subarray(reader.logStart.at(l), reader.logEnd.at(l))),
    ),
  }));
}

function range<T>(from: number, to: number, pick: (index: number) => T): T[] {
  return Array.from({ length: to - from }, (_, i) => pick(from + i));
}

const ours: FixtureTransaction = {
  signature: signatureOf(5),
  keys: [keyOf(1), keyOf(7)],
  writable: [keyOf(2)],
  readonly: [keyOf(8), keyOf(3)],
  instructions: [{ program: 0, data: Uint8Array.of(1) }, { program: 1, data: Uint8Array.of(2) }, { program: 0 }],
  inner: [
    {
      index: 1,
      instructions: [
        { program: 3, data: Uint8Array.of(3), height: 2 },
        { program: 1, data: Uint8Array.of(4), height: 3 },
        { program: 1, data: Uint8Array.of(5), height: 2 },
      ],
    },
    { index: 2, instructions: [{ program: 99, height: 2 }] },
  ],
  logs: ["one", "", "дві"],
};
const foreign: FixtureTransaction = { keys: [keyOf(1)], instructions: [{ program: 0 }], logs: ["not kept"] };

const ourContent = {
  index: 1,
  failed: false,
  signature: 5,
  keys: [0, 1, 0, 2, 0],
  instructions: [
    { path: "0", program: 0, caller: 0, height: 1, data: [1] },
    { path: "1", program: 1, caller: 0, height: 1, data: [2] },
    { path: "1.0", program: 2, caller: 1, height: 2, data: [3] },
    { path: "1.1", program: 1, caller: 2, height: 3, data: [4] },
    { path: "1.2", program: 1, caller: 1, height: 2, data: [5] },
    { path: "2", program: 0, caller: 0, height: 1, data: [] },
    { path: "2.0", program: 0, caller: 0, height: 2, data: [] },
  ],
  logs: ["one", "", "дві"],
};

describe("content", () => {
  test("both message types give the same, and foreign transactions only count", () => {
    const transactions = [foreign, ours, foreign];
    expect(contentOf(readerOf(encodeTransactions(transactions)))).toEqual([ourContent]);
    expect(contentOf(readerOf(encodeBlock(transactions), BLOCK_TYPE))).toEqual([ourContent]);
  });

  test("a program that is only in a lookup table is seen", () => {
    const loaded = { ...foreign, readonly: [keyOf(8)] };
    expect(contentOf(readerOf(encodeTransactions([loaded])))[0]?.keys).toEqual([0, 2]);
  });

  test("the presence of an error is the failure", () => {
    expect(contentOf(readerOf(encodeTransactions([{ ...ours, failed: true }])))[0]?.failed).toBe(true);
    const empty = { ...ours, moreMeta: messageField(1, []) };
    expect(contentOf(readerOf(encodeTransactions([empty])))[0]?.failed).toBe(true);
  });

  test("no logs, no inner instructions, no meta at all", () => {
    const bare = { keys: [keyOf(7)], instructions: [{ program: 0 }] };
    const [, ...withoutMeta] = transactionFields(bare).reverse();
    const found = contentOf(readerOf(messageField(1, withoutMeta)));
    expect(found).toHaveLength(1);
    expect(found[0]?.instructions.map((i) => i.path)).toEqual(["0"]);
  });

  test("a reader forgets one block before the next", () => {
    const reader = readerOf(encodeTransactions([ours, ours, ours]));
    reader.read(encodeTransactions([foreign, ours]), TRANSACTIONS_TYPE);
    expect(contentOf(reader)).toEqual([ourContent]);
    reader.read(new Uint8Array(0), "");
    expect(contentOf(reader)).toEqual([]);
  });
});

describe("order of fields", () => {
  const expected = contentOf(readerOf(encodeTransactions([ours])));

  test("meta before transaction, keys after instructions, unknown fields in between", () => {
    const unknown = [varintField(900, 7), bytesField(901, new Uint8Array(10))];
    const reversed = messageField(1, [
      messageField(2, [...unknown, ...metaFields(ours)]),
      ...unknown,
      messageField(1, [...signedFields(ours), ...unknown]),
    ]);
    expect(contentOf(readerOf(concat([...unknown, reversed])))).toEqual(expected);
  });

  test("loaded addresses come after the static keys, writable first", () => {
    const meta = metaFields({ ...ours, writable: [], readonly: [] });
    const loaded = [bytesField(13, keyOf(8)), bytesField(13, keyOf(3)), bytesField(12, keyOf(2))];
    const payload = messageField(1, [messageField(2, [...loaded, ...meta]), messageField(1, signedFields(ours))]);
    expect(contentOf(readerOf(payload))).toEqual(expected);
  });

  test("a message in two pieces is one message", () => {
    const meta = metaFields(ours);
    const pieces = [
      messageField(1, signedFields(ours)),
      messageField(2, meta.slice(0, 3)),
      messageField(2, meta.slice(3)),
    ];
    expect(contentOf(readerOf(messageField(1, pieces)))).toEqual(expected);
  });

  test("inner lists find their instruction in any order, in pieces, and without one", () => {
    const step = (n: number) => ({ program: 1, data: Uint8Array.of(n), height: 2 });
    const inner = [
      { index: 2, instructions: [step(1)] },
      { index: 0, instructions: [step(2)] },
      { index: 2, instructions: [step(3)] },
      { index: 9, instructions: [step(4)] },
    ];
    const found = contentOf(readerOf(encodeTransactions([{ ...ours, inner }])))[0]!.instructions;
    expect(found.map(({ path, data }) => [path, data[0]])).toEqual([
      ["0", 1],
      ["0.0", 2],
      ["1", 2],
      ["2", undefined],
      ["2.0", 1],
      ["2.1", 3],
      ["9.0", 4],
    ]);
  });

  test("without recorded heights, a program that ran before under the same instruction is the caller", () => {
    const inner = [
      { index: 0, instructions: [{ program: 1 }] },
      { index: 1, instructions: [{ program: 3 }, { program: 1 }, { program: 3 }] },
    ];
    const found = contentOf(readerOf(encodeTransactions([{ ...ours, inner }])))[0]!.instructions;
    expect(found.map(({ path, caller }) => [path, caller])).toEqual([
      ["0", 0],
      ["0.0", 0],
      ["1", 0],
      ["1.0", 0],
      ["1.1", 1],
      ["1.2", 2],
      ["2", 0],
    ]);
  });

  test("heights that cannot be are none", () => {
    const inner = [65, 2 ** 32 + 2].map((height) => ({ program: 1, height }));
    const found = contentOf(
      readerOf(encodeTransactions([{ ...ours, inner: [{ index: 1, instructions: inner }] }])),
    )[0]!;
    expect(found.instructions.slice(2, 4).map(({ height, caller }) => [height, caller])).toEqual([
      [0, 1],
      [0, 1],
    ]);
  });

  test("heights that skip a level have no caller, whatever stood there in another transaction", () => {
    const skipping = { ...ours, inner: [{ index: 1, instructions: [{ program: 1, height: 4 }] }] };
    const deep = { ...ours, inner: [{ index: 1, instructions: [{ program: 1, height: 3 }] }] };
    const callers = contentOf(readerOf(encodeTransactions([deep, skipping]))).map((t) => t.instructions[2]?.caller);
    expect(callers).toEqual([0, 0]);
  });
});

describe("refused", () => {
  const withKey = (key: Uint8Array) => messageField(1, [messageField(1, [messageField(2, [bytesField(2, key)])])]);

  test.each([
    ["key of 31 bytes", withKey(new Uint8Array(31)), "BLOCK_MALFORMED"],
    ["signature of 63 bytes", encodeTransactions([{ ...ours, signature: new Uint8Array(63) }]), "BLOCK_MALFORMED"],
    ["our transaction without a signature", withKey(keyOf(7)), "BLOCK_MALFORMED"],
    ["4097 keys", encodeTransactions([{ ...ours, keys: Array(4097).fill(keyOf(1)) }]), "BLOCK_MALFORMED"],
    ["cut in the middle", encodeTransactions([ours]).subarray(0, 300), "PROTOBUF_LENGTH"],
    [
      "text instead of a message",
      concat([messageField(1, [textField(1, "x"), textField(2, "\x0a\xff")])]),
      "PROTOBUF_TRUNCATED",
    ],
  ])("%s", (_, payload, code) => {
    expect(() => readerOf(payload)).toThrow(Poison);
    try {
      readerOf(payload);
    } catch (error) {
      expect((error as Poison).code).toBe(code);
    }
  });

  test("a type that nobody can read is a matter of configuration", () => {
    expect(() => readerOf(encodeTransactions([ours]), "dex.swaps.v1.Events")).toThrow(Fatal);
  });
});
