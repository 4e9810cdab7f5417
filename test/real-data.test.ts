/**
 * Goal: what was recorded on the public chain goes through decoding, the wire and the hot store, and comes out as what is known
 * of it. Method: every file of the folder of recordings; expectations are the recordings' own words (parsed instructions,
 * logs, named fields), and lines that tell each row.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ScalarType } from "@bufbuild/protobuf";
import bs58 from "bs58";
import { proposeMaps } from "../cli/map-proposal.ts";
import { onlyMap, openPackage, outputType } from "../cli/maps.ts";
import { mapModules } from "../pipeline/source/package.ts";
import type { RowBatch } from "../pipeline/wire/batch.ts";
import { decodeMessage, encodeMessage, rowCodec } from "../pipeline/wire/message.ts";
import {
  encodeBlock,
  type FixtureInstruction,
  type FixtureTransaction,
  keyOf,
} from "../stages/decode/block-fixture.ts";
import { programFromIdl } from "../stages/decode/idl.ts";
import type { MapDataset } from "../stages/decode/map/map-spec.ts";
import { messageOf } from "../stages/decode/map/message-path.ts";
import type { ProgramSpec } from "../stages/decode/program.ts";
import { JUPITER_V6 } from "../stages/decode/programs/jupiter.ts";
import { MOONSHOT } from "../stages/decode/programs/moonshot.ts";
import { PUMPFUN } from "../stages/decode/programs/pumpfun.ts";
import { PUMPFUN_AMM } from "../stages/decode/programs/pumpfun-amm.ts";
import { RAYDIUM_LAUNCHPAD } from "../stages/decode/programs/raydium-launchpad.ts";
import { SPINPET } from "../stages/decode/programs/spinpet.ts";
import { SPL_TOKEN, SPL_TOKEN_2022 } from "../stages/decode/programs/spl-token.ts";
import {
  carbonTransaction,
  hasRecordings,
  invocationsOf,
  recordedJson,
  vixenTransaction,
} from "../stages/decode/recorded-fixture.ts";
import { DecodeStage } from "../stages/decode/stage.ts";
import { batchOf, type Row, type Rows, rowsOf } from "../stages/decode/stage-fixture.ts";
import { LaneStage } from "../stages/sync/lane-stage.ts";
import { HotReader } from "../storage/hot/reader.ts";
import { HotStore } from "../storage/hot/store.ts";
import { type RecordedBlock, transactionsOf } from "./real-blocks.ts";
import { LINES } from "./real-data-lines.ts";

if (!hasRecordings) console.warn("../shared/data is missing: the recordings of the public chain are not tested");
const recorded = describe.skipIf(!hasRecordings);
const DATA = new URL("../../shared/data/", import.meta.url).pathname;
const filesOf = (folder: string) => (hasRecordings ? readdirSync(join(DATA, folder)).sort() : []);
const folder = mkdtempSync(join(tmpdir(), "sluice-real-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const idl = (file: string, programId?: string): ProgramSpec =>
  programFromIdl(recordedJson(`idl/${file}.json`), {
    instructions: "all",
    prefix: `${file}_`,
    ...(programId === undefined ? {} : { programId }),
  });
const OLD_SPINPET = "2uA6nkQRmnPTPWuw73pStTQRWnX15BkzV6zSsEG1nKyC";

function programs(): ProgramSpec[] {
  return [
    SPL_TOKEN,
    SPL_TOKEN_2022,
    PUMPFUN,
    PUMPFUN_AMM,
    JUPITER_V6,
    MOONSHOT,
    RAYDIUM_LAUNCHPAD,
    { ...SPINPET, programId: OLD_SPINPET },
    idl("jupiter_dca", "DCA265Vj8a9CEuX1eb1LWRnDT7uK6q1xMipnNyatn23M"),
    idl("jupiter_limit_order", "jupoNjAxXgZ4rjzxzPMP4oxduvQsQtZzyknqvzYNrNu"),
    idl("meteora_dlmm"),
    idl("orca_whirlpool", "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc"),
    idl("raydium_clmm"),
  ];
}

/** Decodes a block of these, sends the rows over the wire into a hot store, and reads back what is in it. */
async function through(transactions: readonly FixtureTransaction[]): Promise<{ rows: Rows; stage: DecodeStage }> {
  const stage = new DecodeStage({ programs: programs() });
  const body = stage.apply(batchOf([encodeBlock(transactions)], "sf.solana.type.v1.Block"));
  const codec = rowCodec(stage.catalog);
  const next = { slot: body.blocks[0]!.slot, hash: body.blocks[0]!.hash, cursor: "c", moduleHash: "m" };
  const signal = { kind: "data", prev: null, next, finalSlot: 0, body } as const;
  const message = decodeMessage(encodeMessage(signal, codec, 1), codec);
  if (message.kind !== "data") throw new Error("a batch was sent");
  const received: RowBatch = message.body;
  const file = join(folder, `${Bun.randomUUIDv7()}.sqlite`);
  const store = new HotStore({ file, catalog: stage.catalog });
  await store.open();
  const out = new LaneStage(store.state, new Map()).apply(received);
  await store.commit({ prev: null, next, finalSlot: 0, inputSeq: 1, blocks: received.blocks }, out);
  await store.close();
  const reader = new HotReader(file);
  try {
    const stored = new Map([...body.tables.keys()].map((name) => [name, [...reader.tableRows(name, 0)]]));
    const rows = Object.assign(
      {},
      ...[...stored].map(([name, [table]]) => rowsOf({ blocks: [], tables: new Map([[name, table!]]) })),
    );
    expect(rows).toEqual(rowsOf(body));
    return { rows, stage };
  } finally {
    reader.close();
  }
}

/** A row as a line: dataset, path, token, and its large integers but for times. */
function line(dataset: string, row: Row): string {
  const mint = row["mint"] === null ? "-" : bs58.encode(row["mint"] as Uint8Array).slice(0, 4);
  const numbers = Object.entries(row).filter(
    ([name, value]) => typeof value === "bigint" && !/^(slot|block_time|.*time.*)$/.test(name),
  );
  return [dataset, row["instruction_path"], mint, ...numbers.map(([, value]) => String(value))].join(" ");
}
const linesOf = (rows: Rows) =>
  Object.entries(rows)
    .flatMap(([dataset, own]) => own.map((row) => ({ dataset, row })))
    .sort(
      (a, b) =>
        Number(a.row["tx_index"]) - Number(b.row["tx_index"]) ||
        Number(a.row["event_index"]) - Number(b.row["event_index"]),
    )
    .map(({ dataset, row }) => line(dataset, row));

function nothingIsWrong(stage: DecodeStage): void {
  expect(stage.health()).toMatchObject({ badBlocks: 0, unattributedData: 0 });
  for (const health of Object.values(stage.health().programs)) {
    expect(health).toMatchObject({
      unknownLength: 0,
      badValue: 0,
      truncatedPayload: 0,
      instructionsBad: 0,
      unknownDiscriminator: 0,
      bytesLeftOver: 0,
    });
  }
}

recorded("transactions", () => {
  const CARBON: Readonly<Record<string, readonly number[]>> = {
    simple: [8, 9, 7],
    cpi: [5, 5, 6, 9],
    nested_cpi: [9, 10, 13],
  };
  const transactionIn = (file: string): FixtureTransaction[] => {
    const [, kind, name] = /^(carbon|vixen)_(.*)_tx\.json$/.exec(file) ?? [];
    if (kind === "vixen") return [vixenTransaction(name!).transaction];
    if (kind === "carbon") return [carbonTransaction(name!, CARBON[name!]!)];
    interface Notification {
      readonly signature: string;
      readonly logs: readonly string[];
    }
    return recordedJson<Notification[]>(`transactions/${file}`).map(({ logs, signature }) => {
      const tops = invocationsOf(logs).filter(({ height }) => height === 1);
      const ids = [...new Set([OLD_SPINPET, ...tops.map((top) => top.program)])];
      return {
        signature: bs58.decode(signature),
        keys: ids.map((id) => bs58.decode(id)),
        instructions: tops.map((top) => ({ program: ids.indexOf(top.program) })),
        logs,
      };
    });
  };

  test.each(filesOf("transactions"))("%s", async (file) => {
    const { rows, stage } = await through(transactionIn(file));
    nothingIsWrong(stage);
    expect(linesOf(rows)).toEqual([...(LINES[file] ?? ["not known yet"])]);
  });
});

recorded("blocks", () => {
  test.each(filesOf("blocks"))("%s", async (file) => {
    const block = recordedJson<RecordedBlock>(`blocks/${file}`);
    const { rows, stage } = await through(transactionsOf(block));
    nothingIsWrong(stage);
    expect(linesOf(rows)).toEqual([...(LINES[file] ?? ["not known yet"])]);
  });
});

recorded("blocks, beyond tokens", () => {
  const only = (file: string) => transactionsOf(recordedJson<RecordedBlock>(`blocks/${file}`));

  test("accounts of a versioned transaction come from its lookup tables, in the order writable, read-only", () => {
    const [tx] = only("parser_block_with_versioned_tx.json");
    const called = tx!.instructions[2]!;
    const names = Array.from(called.accounts!, (_, i) => `account_${i}`);
    const jupiter: ProgramSpec = {
      name: "jupiter_v3",
      programId: bs58.encode(tx!.keys[called.program]!),
      events: [],
      instructions: [
        {
          name: "call",
          dataset: "call",
          forms: [{ discriminator: [...called.data!.subarray(0, 8)], accounts: names, layouts: [[]] }],
        },
      ],
    };
    const stage = new DecodeStage({ programs: [jupiter] });
    const rows = rowsOf(stage.apply(batchOf([encodeBlock([tx!])], "sf.solana.type.v1.Block")));
    const all = [...tx!.keys, ...tx!.writable!, ...tx!.readonly!];
    const row = rows["call"]!.find((r) => r["instruction_path"] === "2")!;
    expect(names.map((name) => row[name])).toEqual(Array.from(called.accounts!, (index) => all[index]!));
    // The recording's own indexes: beyond the six static keys they can only be in the tables.
    expect(Math.max(...called.accounts!)).toBeGreaterThan(tx!.keys.length);
  });

  test("a failed transaction has no rows unless asked for", () => {
    const payload = encodeBlock(only("parser_block_241043141_v2.json"));
    const count = (failedTransactions: boolean) => {
      const stage = new DecodeStage({ programs: [SPL_TOKEN], failedTransactions });
      stage.apply(batchOf([payload], "sf.solana.type.v1.Block"));
      return stage.health().programs["spl_token"]!;
    };
    expect(count(false)).toMatchObject({ failedSkipped: 1, instructionsSeen: 0 });
    expect(count(true)).toMatchObject({ failedSkipped: 0, instructionsSeen: 5 });
  });
});

recorded("pump.fun payloads", () => {
  interface Payload {
    readonly name: string;
    readonly hex: string;
    readonly expect: Readonly<Record<string, string | boolean>>;
  }
  const payloads = hasRecordings ? recordedJson<Payload[]>("payloads/pumpfun_bonding_curve.json") : [];

  test.each(payloads.map((payload) => [payload.name, payload] as const))("%s", async (_, { hex, expect: told }) => {
    const data = Buffer.from(hex, "hex");
    const program = bs58.decode(PUMPFUN.programId);
    const call: FixtureInstruction = { program: 1, data, height: 2 };
    const tx: FixtureTransaction = hex.startsWith("e445a52e51cb9a1d")
      ? {
          keys: [keyOf(1), program],
          instructions: [{ program: 1, data: new Uint8Array(8) }],
          inner: [{ index: 0, instructions: [call] }],
        }
      : { keys: [keyOf(1), program], instructions: [call] };
    const { rows, stage } = await through([tx]);
    expect(stage.health().programs["pumpfun"]).toMatchObject({ badValue: 0, unknownLength: 0, bytesLeftOver: 0 });
    const { trades, ...events } = rows;
    const [row] = Object.values(events).flat();
    const text = (value: unknown) =>
      value instanceof Uint8Array ? bs58.encode(value) : typeof value === "boolean" ? value : String(value);
    expect(Object.fromEntries(Object.keys(told).map((name) => [name, text(row![name])]))).toEqual({ ...told });
    if (told["sol_amount"] === undefined) return;
    const price =
      (BigInt(String(told["virtual_sol_reserves"])) * 10n ** 25n) / BigInt(String(told["virtual_token_reserves"]));
    expect(trades).toHaveLength(1);
    expect(text(trades![0]!["mint"])).toBe(told["mint"]!);
    expect(trades![0]).toMatchObject({
      is_buy: told["is_buy"],
      price,
      quote_amount: BigInt(String(told["sol_amount"])),
      base_amount: BigInt(String(told["token_amount"])),
    });
  });
});

recorded("IDLs", () => {
  test.each(filesOf("idl"))("%s: everything in it can be decoded", (file) => {
    const options = { programId: SPINPET.programId, instructions: "all" } as const;
    const spec = programFromIdl(recordedJson(`idl/${file}`), options);
    const { catalog } = new DecodeStage({ programs: [spec] });
    const idl = recordedJson<{ readonly events?: readonly object[]; readonly instructions: readonly object[] }>(
      `idl/${file}`,
    );
    expect([spec.events.length, spec.instructions!.length]).toEqual([idl.events?.length ?? 0, idl.instructions.length]);
    expect(catalog.size).toBe(2 + spec.events.length + spec.instructions!.length);
  });

  test("presets describe what the IDLs say, newest layout or an older one", () => {
    const pairs: readonly [ProgramSpec, string][] = [
      [PUMPFUN_AMM, "pumpfun_amm"],
      [RAYDIUM_LAUNCHPAD, "raydium_launchpad"],
      [JUPITER_V6, "jupiter_v6"],
    ];
    for (const [preset, file] of pairs) {
      const said = programFromIdl(recordedJson(`idl/${file}.json`), { instructions: "all" });
      expect(preset.programId).toBe(said.programId);
      const bare = (fields: ProgramSpec["events"][number]["layouts"][number]) =>
        JSON.stringify(
          fields.map(({ name, type }) => [name, type]),
          (key, value) => (key === "doc" || key === "unit" ? undefined : value),
        );
      for (const event of preset.events) {
        const layout = said.events.find(({ name }) => name === event.name)!.layouts[0]!;
        expect([event.name, event.layouts.map(bare)]).toEqual([event.name, expect.arrayContaining([bare(layout)])]);
      }
      for (const { name, forms } of preset.instructions ?? []) {
        const other = said.instructions!.find((instruction) => instruction.name === name);
        if (other === undefined) continue;
        expect([name, forms[0]!.discriminator]).toEqual([name, other.forms[0]!.discriminator]);
        expect(other.forms[0]!.accounts.slice(0, forms[0]!.accounts.length)).toEqual([...forms[0]!.accounts]);
      }
    }
  });
});

function blankOf(type: ScalarType): unknown {
  if (type === ScalarType.STRING) return "";
  if (type === ScalarType.BOOL) return false;
  return [ScalarType.INT64, ScalarType.UINT64].includes(type) ? 0n : 0;
}

recorded("packages", () => {
  test.each(filesOf("spkg").filter((file) => !file.startsWith("spkg1")))(
    "%s: a mapping for every module's output",
    async (file) => {
      const from = await openPackage(join(DATA, "spkg", file), null);
      for (const { name } of mapModules(from.modules)) {
        const type = outputType(from, name);
        for (const { setting } of proposeMaps(type)) {
          const { instruction, ...rest } = setting as Record<string, unknown>;
          const dataset = { ...rest, instructionPath: instruction ?? [] } as unknown as MapDataset;
          const stage = new DecodeStage({ programs: [], maps: [{ type, datasets: [dataset] }] });
          expect(stage.catalog.has(setting.dataset)).toBe(true);
          stage.apply(batchOf([new Uint8Array(0)], type.typeName));
          expect(stage.health().badBlocks).toBe(0);
        }
      }
    },
  );

  test("a package without modules is refused", async () => {
    expect(openPackage(join(DATA, "spkg", "spkg1-v0.0.0.spkg"), null)).rejects.toThrow("holds no modules");
  });

  test("the only map of a package needs no name; of several, all are named with their outputs", async () => {
    const pools = await openPackage(join(DATA, "spkg", "tl-solana-dex-pool-creations-v1.0.3.spkg"), null);
    expect(onlyMap(pools)).toBe("map_block");
    const [proposal] = proposeMaps(outputType(pools, onlyMap(pools)));
    // A list called "data" says nothing; and the base is what a pool is about.
    expect(proposal!.setting).toMatchObject({
      ...{ dataset: "dex_pool_creations", rows: "data" },
      mint: { of: ["quote_mint", "base_mint"], rule: "token" },
    });
    const many = await openPackage(join(DATA, "spkg", "complex-substreams-v0.1.0.spkg"), null);
    expect(() => onlyMap(many)).toThrow("17 maps");
  });

  test("an output of proto2 with all its fields, by the package's own descriptors", async () => {
    const from = await openPackage(join(DATA, "spkg", "tl-solana-liquidity-providers-v2.0.5.spkg"), null);
    const type = outputType(from, "map_block");
    const signature = new Uint8Array(64).fill(7);
    // Every field of this type is required.
    const rowType = messageOf(type.fields.findJsonName("data")!)!;
    const blank = Object.fromEntries(
      rowType.fields.list().map((field) => [field.localName, field.kind === "scalar" ? blankOf(field.T) : 0]),
    );
    const [sol, token] = ["So11111111111111111111111111111111111111112", bs58.encode(keyOf(3))];
    const row = {
      ...blank,
      blockSlot: 9n,
      txId: bs58.encode(signature),
      mintA: sol,
      mintB: token,
      tokenAAmount: 0.1,
      isInnerInstruction: true,
      instructionIndex: 4,
      innerInstructionIndex: 2,
      outerProgram: JUPITER_V6.programId,
    };
    const output = new type({ data: [row] } as object).toBinary();
    const [proposal] = proposeMaps(type);
    const { instruction, ...rest } = proposal!.setting as Record<string, unknown>;
    const stage = new DecodeStage({
      programs: [],
      maps: [{ type, datasets: [{ ...rest, instructionPath: instruction } as unknown as MapDataset] }],
    });
    const rows = rowsOf(stage.apply(batchOf([output], type.typeName)));
    expect(rows["liquidity_providers"]).toHaveLength(1);
    expect(rows["liquidity_providers"]![0]).toMatchObject({
      ...{ signature, mint: keyOf(3), program: bs58.decode(JUPITER_V6.programId), instruction_path: "4.2" },
      ...{ block_slot: 9n, mint_a: sol, token_a_amount: 0.1, is_inner_instruction: true, lp_wallet: "" },
    });
  });
});
