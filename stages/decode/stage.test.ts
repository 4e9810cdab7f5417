/**
 * Goal: every payload of a configured program gets one fate, one identity and its place in execution order, and bad data
 * never stops the stage. Method: small transactions that each show one rule; a made-up program whose events are one u64.
 */
import { describe, expect, test } from "bun:test";
import bs58 from "bs58";
import { Fatal } from "../../pipeline/errors.ts";
import { concat, dataLine, encodeTransactions, type FixtureTransaction, keyOf, littleEndian } from "./block-fixture.ts";
import type { ProgramSpec } from "./program.ts";
import { discriminatorOf } from "./program-decoder.ts";
import { MAX_QUARANTINED_BYTES } from "./row-writer.ts";
import { DecodeStage } from "./stage.ts";
import { batchOf, decodeTransactions, type Row, rowsOf } from "./stage-fixture.ts";
import { GARBLED_ORDINAL } from "./transaction-decoder.ts";

const OURS = keyOf(7);
const OTHER = keyOf(9);
const ID = bs58.encode(OURS);
const OTHER_ID = bs58.encode(OTHER);

const PROGRAM: ProgramSpec = {
  name: "counter",
  programId: ID,
  events: [
    { name: "TickEvent", layouts: [[{ name: "n", type: "u64" }]] },
    {
      name: "NoteEvent",
      layouts: [
        [
          { name: "mint", type: "pubkey" },
          { name: "text", type: "string" },
        ],
      ],
      mintField: "mint",
    },
  ],
  unwanted: [{ name: "DullEvent" }],
};

const tickDiscriminator = discriminatorOf({ name: "TickEvent" }, "test");
const tick = (n: number) => concat([tickDiscriminator, littleEndian(BigInt(n), 8)]);
const note = (text: Uint8Array) =>
  concat([discriminatorOf({ name: "NoteEvent" }, "test"), keyOf(3), littleEndian(BigInt(text.length), 4), text]);
const cpi = (payload: Uint8Array) => concat([Buffer.from("e445a52e51cb9a1d", "hex"), payload]);
const dull = discriminatorOf({ name: "DullEvent" }, "test");

const invoke = (id: string, height: number) => `Program ${id} invoke [${height}]`;
const success = (id: string) => `Program ${id} success`;

/** Keys: 0 a payer, 1 ours, 2 the other program. */
function transaction(parts: Partial<FixtureTransaction>): FixtureTransaction {
  return { keys: [keyOf(1), OURS, OTHER], instructions: [{ program: 1 }], ...parts };
}

function decode(parts: Partial<FixtureTransaction>, options = {}) {
  return decodeTransactions({ programs: [PROGRAM], ...options }, [transaction(parts)]);
}

/** Ticks as [path, ordinal, event_index, n]. */
function places(rows: readonly Row[] | undefined): unknown[] {
  return (rows ?? []).map((row) => [row["instruction_path"], row["ordinal"], row["event_index"], Number(row["n"])]);
}

describe("place of an event", () => {
  test("common columns", () => {
    const { rows } = decode({ logs: [invoke(ID, 1), dataLine(note(Buffer.from("hi"))), success(ID)] });
    expect(rows["note"]?.[0]).toEqual({
      slot: 100n,
      block_time: 1_700_000_100n,
      tx_index: 0,
      event_index: 0,
      signature: new Uint8Array(64).fill(1),
      instruction_path: "0",
      ordinal: 0,
      program: OURS,
      mint: keyOf(3),
      text: "hi",
    });
  });

  test("data belongs to the program on top of the stack, its events to the instruction that emitted them", () => {
    const { rows } = decode({
      instructions: [{ program: 0 }, { program: 2 }, { program: 1 }],
      inner: [
        {
          index: 1,
          instructions: [
            { program: 1, height: 2 },
            { program: 2, height: 3 },
            { program: 1, height: 2 },
          ],
        },
      ],
      logs: [
        // Instruction 0 is a precompile: it leaves no line.
        invoke(OTHER_ID, 1),
        dataLine(tick(99)),
        invoke(ID, 2),
        dataLine(tick(1)),
        invoke(OTHER_ID, 3),
        dataLine(tick(98)),
        "Program log: Everything went through with success",
        success(OTHER_ID),
        dataLine(tick(2)),
        success(ID),
        dataLine(tick(97)),
        invoke(ID, 2),
        dataLine(tick(3)),
        success(ID),
        success(OTHER_ID),
        invoke(ID, 1),
        dataLine(tick(4)),
        success(ID),
      ],
    });
    expect(places(rows["tick"])).toEqual([
      ["1.0", 0, 0, 1],
      ["1.0", 1, 1, 2],
      ["1.2", 0, 2, 3],
      ["2", 0, 3, 4],
    ]);
  });

  test("ordinals count every payload, whatever becomes of it; garbled lines move nobody", () => {
    const { rows, health } = decode({
      logs: [
        invoke(ID, 1),
        dataLine(tick(1)),
        dataLine(dull),
        "Program data: not base64!",
        dataLine(Uint8Array.of(1, 2, 3)),
        dataLine(concat([tickDiscriminator, Uint8Array.of(1)])),
        "Program data: cut=",
        dataLine(tick(2)),
      ],
    });
    expect(places(rows["tick"])).toEqual([
      ["0", 0, 0, 1],
      ["0", 4, 6, 2],
    ]);
    expect(rows["quarantine"]?.map((r) => [r["reason"], r["ordinal"], r["event_index"]])).toEqual([
      ["truncated_payload", GARBLED_ORDINAL, 2],
      ["unknown_length", 3, 4],
      ["truncated_payload", GARBLED_ORDINAL + 1, 5],
    ]);
    expect(health.programs["counter"]).toMatchObject({
      seen: 7,
      decoded: 2,
      unwanted: 1,
      unknownDiscriminator: 1,
      unknownLength: 1,
      truncatedPayload: 2,
    });
  });

  test("several chunks on a line are one payload", () => {
    const payload = tick(5);
    const line = dataLine(payload.subarray(0, 8), payload.subarray(8, 11), payload.subarray(11));
    expect(places(decode({ logs: [invoke(ID, 1), line] }).rows["tick"])).toEqual([["0", 0, 0, 5]]);
  });

  test("a longer payload than any before fits, too", () => {
    const text = new Uint8Array(20_000).fill(0x61);
    const { rows } = decode({ logs: [invoke(ID, 1), dataLine(note(text))] });
    expect(rows["note"]?.[0]?.["text"]).toBe("a".repeat(20_000));
  });

  test("an invocation without an instruction still has a path, and is counted", () => {
    const { rows, health } = decode({
      instructions: [{ program: 2 }, { program: 1 }],
      logs: [
        invoke(OTHER_ID, 1),
        invoke(ID, 2),
        dataLine(tick(1)),
        success(ID),
        success(OTHER_ID),
        invoke(ID, 1),
        dataLine(tick(2)),
      ],
    });
    expect(places(rows["tick"])).toEqual([
      ["~1", 0, 0, 1],
      ["1", 0, 1, 2],
    ]);
    expect(health.programs["counter"]?.unmatchedInvocations).toBe(1);
  });

  test("tx_index counts the transactions that were passed over", () => {
    const foreign = { keys: [keyOf(1)], instructions: [] };
    const ours = transaction({ logs: [invoke(ID, 1), dataLine(tick(1))] });
    const { rows } = decodeTransactions({ programs: [PROGRAM] }, [foreign, ours, foreign, ours]);
    expect(rows["tick"]?.map((row) => row["tx_index"])).toEqual([1, 3]);
  });
});

describe("emit_cpi", () => {
  const self = [{ program: 1, data: cpi(tick(1)), height: 2 }];

  test("needs no log", () => {
    const { rows } = decode({ inner: [{ index: 0, instructions: self }] });
    expect(places(rows["tick"])).toEqual([["0.0", 0, 0, 1]]);
  });

  test("stands in execution order among logged events", () => {
    const { rows } = decode({
      instructions: [{ program: 1 }, { program: 1 }],
      inner: [
        { index: 0, instructions: [{ program: 1, data: cpi(tick(2)), height: 2 }] },
        {
          index: 1,
          instructions: [
            { program: 2, height: 2 },
            { program: 1, data: cpi(tick(5)), height: 2 },
          ],
        },
      ],
      logs: [
        invoke(ID, 1),
        dataLine(tick(1)),
        invoke(ID, 2),
        success(ID),
        dataLine(tick(3)),
        success(ID),
        invoke(ID, 1),
        dataLine(tick(4)),
        "Log truncated",
      ],
    });
    expect(places(rows["tick"])).toEqual([
      ["0", 0, 0, 1],
      ["0.0", 0, 1, 2],
      ["0", 1, 2, 3],
      ["1", 0, 3, 4],
      ["1.1", 0, 4, 5],
    ]);
  });

  test("an event that such a call logs does not take the identity of the one it carries", () => {
    const logs = [invoke(ID, 1), invoke(ID, 2), dataLine(tick(2)), success(ID), success(ID)];
    expect(places(decode({ inner: [{ index: 0, instructions: self }], logs }).rows["tick"])).toEqual([
      ["0.0", 0, 0, 1],
      ["0.0", 1, 1, 2],
    ]);
  });

  test("only a program calling itself emits an event", () => {
    const foreign = { instructions: [{ program: 2 }], inner: [{ index: 0, instructions: self }] };
    expect(decode(foreign).rows).toEqual({});
    const top = { instructions: [{ program: 1, data: cpi(tick(1)) }] };
    expect(decode(top).rows).toEqual({});
    const between = [
      { program: 2, height: 2 },
      { program: 1, data: cpi(tick(1)), height: 3 },
    ];
    expect(decode({ inner: [{ index: 0, instructions: between }] }).rows).toEqual({});
    expect(decode(foreign).health.programs["counter"]?.seen).toBe(0);
  });

  test("a call of the marker alone carries nothing that is known", () => {
    const { health } = decode({
      inner: [{ index: 0, instructions: [{ program: 1, data: cpi(new Uint8Array(0)), height: 2 }] }],
    });
    expect(health.programs["counter"]).toMatchObject({ seen: 1, unknownDiscriminator: 1 });
  });
});

describe("what is left out, and counted", () => {
  test("failed transactions, unless asked for", () => {
    const parts = {
      failed: true,
      logs: [invoke(ID, 1), dataLine(tick(1)), `Program ${ID} failed: custom program error: 0x1`],
    };
    const { rows, health } = decode(parts);
    expect(rows).toEqual({});
    expect(health.programs["counter"]).toMatchObject({ seen: 0, failedSkipped: 1 });
    expect(decode(parts, { failedTransactions: true }).rows["tick"]).toHaveLength(1);
  });

  test("what follows a truncated log", () => {
    const { rows, health } = decode({ logs: [invoke(ID, 1), dataLine(tick(1)), "Log truncated", dataLine(tick(2))] });
    expect(places(rows["tick"])).toEqual([["0", 0, 0, 1]]);
    expect(health.programs["counter"]?.truncatedLogs).toBe(1);
  });

  test("data without a program", () => {
    const { rows, health } = decode({ logs: [dataLine(tick(1)), invoke(ID, 1), success(ID), dataLine(tick(2))] });
    expect(rows).toEqual({});
    expect(health.unattributedData).toBe(2);
  });
});

describe("quarantine", () => {
  test("keeps the payload, its discriminator and the reason", () => {
    const bad = note(Uint8Array.of(0x68, 0xff));
    const { rows, health } = decode({ logs: [invoke(ID, 1), dataLine(bad)] });
    expect(Object.keys(rows)).toEqual(["quarantine"]);
    expect(rows["quarantine"]?.[0]).toMatchObject({
      reason: "bad_value",
      instruction_path: "0",
      ordinal: 0,
      mint: null,
    });
    expect(rows["quarantine"]?.[0]?.["payload"]).toEqual(bad);
    expect(rows["quarantine"]?.[0]?.["discriminator"]).toEqual(bad.slice(0, 8));
    expect(rows["quarantine"]?.[0]?.["detail"]).toContain("NoteEvent");
    expect(health.programs["counter"]?.badValue).toBe(1);
  });

  test("keeps the text of a line that is not base64", () => {
    const { rows } = decode({ logs: [invoke(ID, 1), "Program data: QUJ*"] });
    expect(Buffer.from(rows["quarantine"]?.[0]?.["payload"] as Uint8Array).toString()).toBe("QUJ*");
    expect(rows["quarantine"]?.[0]?.["discriminator"]).toBeNull();
  });

  test("a broken block is one row, and the others go on", () => {
    const good = encodeTransactions([transaction({ logs: [invoke(ID, 1), dataLine(tick(1))] })]);
    const broken = concat([good, Uint8Array.of(0x0a, 0x7f, 1)]);
    const stage = new DecodeStage({ programs: [PROGRAM] });
    const batch = batchOf([good, broken, good]);
    const out = stage.apply(batch);
    const rows = rowsOf(out);
    expect(out.blocks).toBe(batch.blocks);
    expect(rows["tick"]?.map((row) => row["slot"])).toEqual([100n, 102n]);
    expect(rows["quarantine"]).toHaveLength(1);
    expect(rows["quarantine"]?.[0]).toMatchObject({
      slot: 101n,
      reason: "bad_block",
      instruction_path: "",
      ordinal: 0,
    });
    expect(rows["quarantine"]?.[0]?.["signature"]).toEqual(new Uint8Array(64));
    expect(rows["quarantine"]?.[0]?.["program"]).toEqual(new Uint8Array(32));
    expect(rows["quarantine"]?.[0]?.["payload"]).toEqual(broken);
    expect(stage.health()).toMatchObject({ blocks: 3, badBlocks: 1, programs: { counter: { decoded: 2 } } });
  });

  test("of a large broken block the beginning is kept, and the detail says so", () => {
    const broken = new Uint8Array(MAX_QUARANTINED_BYTES + 10).fill(0x0a);
    const [row] = rowsOf(new DecodeStage({ programs: [PROGRAM] }).apply(batchOf([broken])))["quarantine"]!;
    expect(row!["payload"]).toEqual(broken.slice(0, MAX_QUARANTINED_BYTES));
    expect(row!["detail"]).toContain(`first ${MAX_QUARANTINED_BYTES} of ${broken.length} bytes kept`);
  });
});

describe("the stage", () => {
  const ours = (n: number) => encodeTransactions([transaction({ logs: [invoke(ID, 1), dataLine(tick(n))] })]);

  test("keeps nothing between batches", () => {
    const stage = new DecodeStage({ programs: [PROGRAM] });
    const together = rowsOf(stage.apply(batchOf([ours(1), ours(2)])));
    const alone = rowsOf(stage.apply(batchOf([ours(1)])));
    expect(together["tick"]?.map((row) => row["n"])).toEqual([1n, 2n]);
    expect(alone["tick"]).toEqual(together["tick"]!.slice(0, 1));
  });

  test("a batch without events has blocks and no tables", () => {
    const batch = batchOf([new Uint8Array(0)], "");
    expect(new DecodeStage({ programs: [PROGRAM] }).apply(batch)).toEqual({ blocks: batch.blocks, tables: new Map() });
  });

  test("a type that it cannot read stops it, and leaves no rows for the next batch", () => {
    const stage = new DecodeStage({ programs: [PROGRAM] });
    const mixed = { ...batchOf([ours(1)]), typeName: "a.b.C" };
    expect(() => stage.apply(mixed)).toThrow(Fatal);
    expect(rowsOf(stage.apply(batchOf([ours(2)])))["tick"]).toHaveLength(1);
  });

  test("health is a copy and only grows", () => {
    const stage = new DecodeStage({ programs: [PROGRAM] });
    stage.apply(batchOf([ours(1)]));
    const before = stage.health();
    stage.apply(batchOf([ours(2)]));
    expect(before.programs["counter"]?.decoded).toBe(1);
    expect(stage.health().programs["counter"]?.decoded).toBe(2);
  });

  test("two deployments of one program share their datasets", () => {
    const twin: ProgramSpec = { ...PROGRAM, name: "twin", programId: OTHER_ID };
    const logs = [invoke(ID, 1), dataLine(tick(1)), invoke(OTHER_ID, 2), dataLine(tick(2))];
    const inner = [{ index: 0, instructions: [{ program: 2, height: 2 }] }];
    const { rows, health } = decode({ logs, inner }, { programs: [PROGRAM, twin] });
    expect(rows["tick"]?.map((row) => row["program"])).toEqual([OURS, OTHER]);
    expect([health.programs["counter"]?.decoded, health.programs["twin"]?.decoded]).toEqual([1, 1]);
  });
});
