/**
 * Goal: no bytes make decoding throw, hang, grow without bound or lose count. Method: ten thousand seeded mutations of a
 * block with every kind of event; each must give rows or quarantine, the same twice, and every payload seen one fate.
 */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../pipeline/world.ts";
import { TEST_SEED } from "../../test/seed.ts";
import {
  bytesField,
  concat,
  dataLine,
  encodeTransactions,
  type FixtureTransaction,
  keyOf,
  messageField,
} from "./block-fixture.ts";
import type { InstructionSpec, ProgramSpec } from "./program.ts";
import { discriminatorOf } from "./program-decoder.ts";
import { parseAddress } from "./program-set.ts";
import { SPINPET } from "./programs/spinpet.ts";
import { DecodeStage } from "./stage.ts";
import { batchOf, rowsOf } from "./stage-fixture.ts";

const MUTATIONS = 10_000;
/** Fates that this program, or this block, cannot meet. */
const UNREACHABLE = ["unwanted", "tradesWithoutPrice"];
/** The block's call of it begins as an event does; the others are begun so by damage, or are known and not asked for. */
const instruction = (name: string, begins: readonly number[], more: object = {}): InstructionSpec => ({
  name,
  forms: [{ discriminator: begins, accounts: ["payer", "mint"], layouts: [[{ name: "text", type: "string" }]] }],
  ...more,
});
const PROGRAM: ProgramSpec = {
  ...SPINPET,
  instructions: [
    instruction("first", [...discriminatorOf(SPINPET.events[0]!, "spinpet")], { dataset: "ix_first", mint: "mint" }),
    instruction("second", [...discriminatorOf(SPINPET.events[1]!, "spinpet")]),
  ],
};
const OURS = parseAddress(SPINPET.programId, "test");

/** A block in which every event is logged once and called once. `change` may alter any payload and any log line. */
function blockOf(change: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  const transactions = SPINPET.events.map((event, i): FixtureTransaction => {
    // The shortest is too short, the others have bytes left over.
    const body = new Uint8Array(event.name === "ForceLiquidateEvent" ? 95 : 320);
    const payload = concat([discriminatorOf(event, "spinpet"), body]);
    const data = change(concat([Buffer.from("e445a52e51cb9a1d", "hex"), change(payload)]));
    const lines = [
      `Program ${SPINPET.programId} invoke [1]`,
      "Program log: Instruction: Buy",
      dataLine(change(payload)),
      `Program ${SPINPET.programId} invoke [2]`,
      `Program ${SPINPET.programId} success`,
      `Program ${SPINPET.programId} success`,
      "Log truncated",
    ];
    return {
      signature: new Uint8Array(64).fill(i + 1),
      keys: [keyOf(1), OURS, keyOf(9)],
      instructions: [{ program: 2 }, { program: 1, data: change(payload.subarray(0, 20)) }],
      inner: [{ index: 1, instructions: [{ program: 1, height: 2, data }] }],
      logs: lines.map((line) => Buffer.from(change(new TextEncoder().encode(line))).toString("latin1")),
      failed: i === 6,
    };
  });
  return encodeTransactions(transactions);
}

/** One to four edits: flips, cuts, insertions, repetitions, lengths blown up. */
function mutate(seed: Uint8Array, random: () => number): Uint8Array {
  let bytes: Uint8Array = seed.slice();
  const at = () => Math.floor(random() * bytes.length);
  for (let edits = 1 + Math.floor(random() * 4); edits > 0 && bytes.length > 0; edits--) {
    const from = at();
    const some = Math.min(bytes.length, from + 1 + Math.floor(random() * 40));
    const noise = Uint8Array.from({ length: 1 + Math.floor(random() * 12) }, () => Math.floor(random() * 256));
    switch (Math.floor(random() * 7)) {
      case 0:
        bytes[from]! ^= 1 << Math.floor(random() * 8);
        break;
      case 1:
        bytes[from] = Math.floor(random() * 256);
        break;
      case 2:
        bytes = bytes.slice(0, from);
        break;
      case 3:
        bytes = concat([bytes.subarray(0, from), bytes.subarray(some)]);
        break;
      case 4:
        bytes = concat([bytes.subarray(0, from), noise, bytes.subarray(from)]);
        break;
      case 5:
        bytes = concat([bytes.subarray(0, some), bytes.subarray(from)]);
        break;
      default:
        bytes.fill(0xff, from, some);
    }
  }
  return bytes;
}

test(`${MUTATIONS} mutated blocks: rows or quarantine, and every payload has one fate`, () => {
  const random = seededRandom(TEST_SEED);
  const intact = blockOf((bytes) => bytes);
  /** Every other block is damaged in its parts, so that its frame holds and the damage reaches the events. */
  const damaged = (i: number) =>
    i % 2 === 0 ? mutate(intact, random) : blockOf((bytes) => (random() < 0.1 ? mutate(bytes, random) : bytes));
  const stage = new DecodeStage({ programs: [PROGRAM] });
  const before = retainedBytes();
  const reached = { rows: 0, quarantined: 0 };
  for (let i = 0; i < MUTATIONS; i += 10) {
    const batch = batchOf(Array.from({ length: 10 }, (_, k) => damaged(k)));
    const out = stage.apply(batch);
    expect(out.blocks).toBe(batch.blocks);
    for (const [name, table] of out.tables) {
      expect(stage.catalog.get(name)).toBe(table.spec);
      if (name === "quarantine") reached.quarantined += table.length;
      else reached.rows += table.length;
    }
    if (i % 1000 === 0) expect(rowsOf(stage.apply(batch))).toEqual(rowsOf(out));
  }
  const { blocks, badBlocks, programs } = stage.health();
  const { shares: _, datasets: __, ...h } = programs["spinpet"]!;
  expect(h.seen).toBe(
    h.decoded + h.unwanted + h.unknownDiscriminator + h.unknownLength + h.badValue + h.truncatedPayload,
  );
  expect(blocks).toBe(MUTATIONS + MUTATIONS / 100);
  expect(h.instructionsSeen).toBe(
    h.instructionsDecoded + h.instructionsUnwanted + h.instructionsUnknown + h.instructionsBad,
  );
  // The mutations must reach every branch, or they show nothing.
  for (const [fate, count] of Object.entries({ ...reached, badBlocks, ...h })) {
    if (!UNREACHABLE.includes(fate)) expect({ [fate]: count > 0 }).toEqual({ [fate]: true });
  }
  expect(retainedBytes() - before).toBeLessThan(256 * 1024 * 1024);
});

describe("blocks made to exhaust", () => {
  const decode = (payload: Uint8Array) => new DecodeStage({ programs: [SPINPET] }).apply(batchOf([payload])).tables;
  const key = bytesField(2, OURS);
  /** A relevant transaction with the given fields in its message and its meta. */
  const transaction = (message: Uint8Array, meta: Uint8Array) =>
    messageField(1, [
      messageField(1, [bytesField(1, new Uint8Array(64)), messageField(2, [key, message])]),
      messageField(2, [meta]),
    ]);
  const repeat = (bytes: readonly number[], times: number) =>
    Uint8Array.from({ length: bytes.length * times }, (_, i) => bytes[i % bytes.length]!);
  const none = new Uint8Array(0);

  test("five million empty log lines are refused, a million are read", () => {
    expect(decode(transaction(none, repeat([0x32, 0], 5_000_000))).get("quarantine")?.length).toBe(1);
    expect(decode(transaction(none, repeat([0x32, 0], 1_000_000))).size).toBe(0);
  });

  test("two million empty instructions are refused", () => {
    expect(decode(transaction(repeat([0x22, 0], 2_000_000), none)).get("quarantine")?.length).toBe(1);
  });

  test("a hundred thousand invocations that match nothing are read in one pass", () => {
    const line = new TextEncoder().encode(`Program ${SPINPET.programId} invoke [2]`);
    const logs = repeat([0x32, line.length, ...line], 100_000);
    const instructions = repeat([0x22, 2, 0x08, 1], 100_000);
    expect(decode(transaction(instructions, logs)).size).toBe(0);
  });

  test("a hundred thousand groups of inner instructions are sorted, not searched", () => {
    const groups = concat(
      Array.from({ length: 100_000 }, (_, i) => Uint8Array.of(0x2a, 4, 0x08, (99 - i) & 0x7f, 0x12, 0)),
    );
    expect(decode(transaction(none, groups)).size).toBe(0);
  });
});

/** What is still held after a collection: resident memory would count the tests before this one, too. */
function retainedBytes(): number {
  Bun.gc(true);
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
