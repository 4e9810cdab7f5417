/**
 * Goal: what was recorded on the public chain decodes to what is known of it. Method: recorded logs, payloads and
 * instruction trees, composed into blocks; expected values from the recordings, the logs beside the events, and golden values.
 */
import { describe, expect, test } from "bun:test";
import bs58 from "bs58";
import { dataLine, type FixtureInstruction, type FixtureTransaction, littleEndian } from "./block-fixture.ts";
import { type IdlOptions, programFromIdl } from "./idl.ts";
import type { ProgramSpec } from "./program.ts";
import { discriminatorOf } from "./program-decoder.ts";
import { SPINPET } from "./programs/spinpet.ts";
import { carbonTransaction, hasRecordings, invocationsOf, recordedJson, vixenTransaction } from "./recorded-fixture.ts";
import { decodeTransactions, payloadOf, type Row } from "./stage-fixture.ts";

if (!hasRecordings) console.warn("../shared/data is missing: decoding of recorded transactions is not tested");
const recorded = describe.skipIf(!hasRecordings);

const address = (cell: unknown) => bs58.encode(cell as Uint8Array);
const idlProgram = (file: string, options: IdlOptions = {}) =>
  programFromIdl(recordedJson(`idl/${file}.json`), options);

const DCA = "DCA265Vj8a9CEuX1eb1LWRnDT7uK6q1xMipnNyatn23M";
const VIXEN = [
  "1JXEeNsaTdwwnTAsQBLvA63cMSh3uKHnCLB8cB23oHdcszMM82k3skn79RmFfi9iUvav1spsUCG3C5QXT6U9Du2",
  "2WhQXGYdZrrQrixgsxALHgZUiM5SdHasiX56jJb6QMZHXnYf69zFfUoJLmCjKHzfuA2UV5kaPRfhqPGudJDZeWwk",
  "3WUyNrFiDCV9g8yHgftMDYCN2j2CP2E6hkAGqKSnhK9QJUGFofhgUzvE712Ya3u92kioRJ1zsdkWAAC6CaJrcFKN",
  "3YLwc2z7pbzU1xbduwxkjjMcdzyPE7ozoVH5jrMMDzNEK7zUgdMhbtBwE17gJcgBNBKvNxWrCS76qzfjpabXgwoL",
  "3jaLYNHZBxPxAcXUYdsMRhrDL19YpS7jDgkq5p4GDcsfUK82sLAuDv9gnRhw5KkAh8yWgomZnHn8Lbz3uvbqKpAC",
  "3kHqY7UUDsyqYoyhSBNjpQjWCr8BhZB6eT7MDzU2ThwECuDdRHm2FjUktikf6crHLmHo5WWuEBdL4caZec5YbFTg",
  "5cqt7QpW2WhyQoJC7u8WhVivoUC5rWrHudWAssYrm2xDTTvVszVAXyCidco5DAXqwc4u4DSAXmmt1kzCKwJP2iW8",
  "5esX3MC2s6rQcG1y9npt2jL5HjtUUSSXst1v16vuSng3wAv9uaskiL47kxb5zFnNZVqZVKYdYQVM92hXRKYkYU8x",
  "5mYEUYXCZisS8CChCG8mL8N3NEWHUA81Rr7kLA28P5upSzDStLq1f4QKhFLY7R8GsRNB27gM6YzvKerxejtLQxCj",
  "VLzYfuPuxFcAV841yKgyvuYeJK9VgBKf9YSH4jHGLAJhc84jJZzYbrh97XJRQh3tfsLEAEkws3CRcmhsGeDEdFk",
  "XbXyUniNYySCWreUPhqtnXXDtyVXvFnCqAdQupwfzT332biDHq6oBgT1wfdrZ1KhjeEWM5W25YUMn815P76eVfZ",
  "dP4TfbypYZoTkDLFAojCXQHmxyV6vQ3sgbHJtQhMHWpTAEpxGSTTAG63woEqxVvgq9QQLSFhRXpRwii2RkF6xnD",
  "eVwmoRFFUwqqcak7vF18fi7jLw1puwkn7cEWFEy8MAKYAVayAH2U4Yb9BzvJkcNpprcqkzsGWMHtRTUHTxqyCJ1",
];
const vixen = (start: string) => vixenTransaction(VIXEN.find((signature) => signature.startsWith(start))!).transaction;

/** Top-level programs of the carbon metas, which do not record them: indexes that no inner instruction uses. */
const CARBON: readonly (readonly [string, readonly number[]])[] = [
  ["simple", [8, 9, 7]],
  ["cpi", [5, 5, 6, 9]],
  ["nested_cpi", [9, 10, 13]],
];

recorded("the log's stack and the instruction tree", () => {
  const transactions: (readonly [string, FixtureTransaction])[] = hasRecordings
    ? [
        ...VIXEN.map((signature) => [signature.slice(0, 8), vixenTransaction(signature).transaction] as const),
        ...CARBON.map(([name, tops]) => [name, carbonTransaction(name, tops)] as const),
      ]
    : [];

  /** Every program of the log emits one event right after it starts, and none else: event k must get the place of invocation k. */
  function withTicks(transaction: FixtureTransaction): FixtureTransaction {
    let count = 0;
    const logs = transaction.logs!.flatMap((line) => {
      if (line.startsWith("Program data: ")) return [];
      if (!line.endsWith("]") || !line.includes(" invoke [")) return [line];
      return [line, dataLine(payloadOf(discriminator, littleEndian(BigInt(count++), 4)))];
    });
    const bare = ({ data: _, ...instruction }: FixtureInstruction): FixtureInstruction => instruction;
    const inner = transaction.inner!.map(({ index, instructions }) => ({
      index,
      instructions: instructions.map(bare),
    }));
    return { ...transaction, instructions: transaction.instructions.map(bare), inner, logs };
  }
  const discriminator = Buffer.from(discriminatorOf({ name: "TickEvent" }, "test")).toString("hex");

  test.each(transactions)("%s: every invocation is matched to its instruction", (_, transaction) => {
    const invocations = invocationsOf(transaction.logs!);
    const programs = [...new Set(invocations.map(({ program }) => program))].map(
      (programId): ProgramSpec => ({
        name: programId,
        programId,
        events: [{ name: "TickEvent", layouts: [[{ name: "n", type: "u32" }]] }],
      }),
    );
    const { rows, health } = decodeTransactions({ programs }, [withTicks(transaction)]);
    const found = rows["tick"]!.map((row) => [
      row["event_index"],
      row["n"],
      address(row["program"]),
      row["instruction_path"],
    ]);
    expect(found.length).toBeGreaterThan(0);
    expect(found).toEqual(invocations.map(({ program, path }, k) => [k, k, program, path]));
    for (const program of Object.values(health.programs)) expect(program.unmatchedInvocations).toBe(0);
  });
});

recorded("spinpet, July 2025", () => {
  interface Notification {
    readonly slot: number;
    readonly signature: string;
    readonly logs: readonly string[];
  }
  const OLD_ID = "2uA6nkQRmnPTPWuw73pStTQRWnX15BkzV6zSsEG1nKyC";
  const program: ProgramSpec = { ...SPINPET, programId: OLD_ID };

  function decodeNotifications() {
    const notifications = recordedJson<Notification[]>("transactions/spinpet_logs_notifications.json");
    const transactions = notifications.map(({ logs, signature }) => {
      const programs = [...new Set([OLD_ID, ...invocationsOf(logs).map((i) => i.program)])];
      const tops = invocationsOf(logs).filter(({ height }) => height === 1);
      return {
        signature: bs58.decode(signature),
        keys: programs.map((id) => bs58.decode(id)),
        instructions: tops.map((top) => ({ program: programs.indexOf(top.program) })),
        logs,
      };
    });
    return decodeTransactions({ programs: [program] }, transactions);
  }

  test("the old layout decodes; what it lacks is null", () => {
    const { rows, health } = decodeNotifications();
    const created = rows["token_created"]!.map((row) => ({
      tx: row["tx_index"],
      path: row["instruction_path"],
      payer: address(row["payer"]),
      mint: address(row["mint"]),
      curve: address(row["curve_account"]),
      name: row["name"],
      symbol: row["symbol"],
      uri: row["uri"],
      later: [row["pool_token_account"], row["params_account"], row["swap_fee"], row["fee_discount_flag"]],
    }));
    const common = { path: "0", payer: "8NMGPAQgvsFZDMdRkJWukhrvem1WDd1JXv8nPhhkRKe", later: [null, null, null, null] };
    expect(created).toEqual([
      {
        ...common,
        tx: 2,
        mint: "81WZbeJwfo9mTBRZsBqaUBWa2jeRKH2LQi54uwXdZYoa",
        curve: "3CdVRJuTzgGsT3a1S5WyMeaN9PZzqhsbGWM3zsYJ463V",
        name: "Hello",
        symbol: "HLO",
        uri: "https://example.com/hello-token.json",
      },
      {
        ...common,
        tx: 3,
        mint: "GRRoF4X8V5VdRwRdEPksiA7kVVeKXWKuK2a6NyJJJyi5",
        curve: "7xDe43WjAf8Di1NBz2WrU9QmpMHAkxotV8KL7o92NXgm",
        name: "AAA",
        symbol: "AAA",
        uri: "https://example.com/aaa-token.json",
      },
    ]);
    expect(Object.keys(rows)).toEqual(["token_created"]);
    expect(health).toMatchObject({
      unattributedData: 0,
      programs: { spinpet: { seen: 2, decoded: 2, bytesLeftOver: 0 } },
    });
  });

  test("the IDL describes the same columns as the preset, but for the layout that it has forgotten", () => {
    const fromIdl = idlProgram("spinpet", { mintField: "mint_account" });
    for (const event of fromIdl.events) {
      const preset = SPINPET.events.find((e) => e.name === event.name)!;
      const plain = (fields: ProgramSpec["events"][number]["layouts"][number]) =>
        fields.map(({ name, type }) => ({ name, type }));
      expect(plain(preset.layouts[0]!)).toEqual(plain(event.layouts[0]!));
      expect(Uint8Array.from(event.discriminator!)).toEqual(new Uint8Array(discriminatorOf(preset, "spinpet")));
    }
    expect(fromIdl.events.map((e) => e.name).sort()).toEqual(SPINPET.events.map((e) => e.name).sort());
    expect(fromIdl.programId).toBe(SPINPET.programId);
  });
});

recorded("events in logs and calls of other programs", () => {
  const decodeOne = (program: ProgramSpec, transaction: FixtureTransaction) => {
    const { rows, health } = decodeTransactions({ programs: [program] }, [transaction]);
    expect(health.programs[program.name]).toMatchObject({ unknownLength: 0, badValue: 0, unmatchedInvocations: 0 });
    return { rows, health: health.programs[program.name]! };
  };
  const only = (rows: readonly Row[] | undefined): Row => {
    expect(rows).toHaveLength(1);
    return rows![0]!;
  };

  test("Moonshot: a trade in the log, with an enum and a label; its fees are in the line before", () => {
    const ratio = { quote: "collateralAmount", base: "amount", quoteDecimals: 9, baseDecimals: 9 };
    const isBuy = { field: "type", equals: "Buy" };
    const mapping = { user: "sender", isBuy, baseAmount: "amount", quoteAmount: "collateralAmount", price: ratio };
    const program = idlProgram("moonshot", { name: "moonshot", trades: { TradeEvent: mapping } });
    const { rows } = decodeOne(program, carbonTransaction("simple", CARBON[0]![1]));
    expect(only(rows["trades"])).toMatchObject({ kind: "trade", is_buy: true, quote_amount: 1_639_908n });
    expect(only(rows["trade"])).toMatchObject({
      instruction_path: "1",
      collateral_amount: 1_639_908n,
      helio_fee: 6560n,
      dex_fee: 9839n,
      type: "Buy",
      label: "trade",
    });
  });

  test.each([
    ["cpi", "3.3", 9_372_599_925_000n, 1_700_985_700_449n],
    ["nested_cpi", "1.3", undefined, undefined],
  ] as const)(
    "Meteora DLMM: a swap by emit_cpi, its program in a lookup table (%s)",
    (name, path, amountIn, amountOut) => {
      const program = idlProgram("meteora_dlmm", { name: "dlmm" });
      const { rows } = decodeOne(program, carbonTransaction(name, CARBON.find(([n]) => n === name)![1]));
      const swap = only(rows["swap"]);
      expect(swap["instruction_path"]).toBe(path);
      if (amountIn !== undefined) expect([swap["amount_in"], swap["amount_out"]]).toEqual([amountIn, amountOut]);
    },
  );

  test("Jupiter v6: fee and swap by emit_cpi under another program", () => {
    const { rows } = decodeOne(idlProgram("jupiter_v6"), vixen("dP4T"));
    expect([only(rows["fee"])["instruction_path"], only(rows["swap"])["instruction_path"]]).toEqual(["2.8", "2.13"]);
    expect(only(rows["fee"])["event_index"]).toBe(0);
    expect(only(rows["swap"])).toMatchObject({
      event_index: 1,
      input_amount: 516_831_004n,
      output_amount: 44_833_319n,
    });
  });

  test("Jupiter DCA: an IDL of the older form, three calls of two instructions", () => {
    const program = idlProgram("jupiter_dca", { name: "dca", programId: DCA });
    const { rows, health } = decodeOne(program, vixen("XbXy"));
    const paths = Object.values(rows).flatMap((table) => table.map((row) => row["instruction_path"]));
    expect(paths.sort()).toEqual(["3.1", "3.2", "4.1"]);
    expect(health).toMatchObject({ seen: 3, decoded: 3, bytesLeftOver: 0 });
  });

  test("Jupiter limit order: a trade logged by the thirteenth instruction", () => {
    const program = idlProgram("jupiter_limit_order", {
      name: "limit",
      programId: "jupoNjAxXgZ4rjzxzPMP4oxduvQsQtZzyknqvzYNrNu",
    });
    const { rows } = decodeOne(program, vixen("3jaL"));
    expect(only(rows["trade"])["instruction_path"]).toBe("12");
  });

  test("Pump AMM: a sell logged three calls deep, right after a foreign program's lines", () => {
    const { rows } = decodeOne(idlProgram("pumpfun_amm"), vixen("VLzY"));
    expect(only(rows["sell"])["instruction_path"]).toBe("3.2");
  });
});
