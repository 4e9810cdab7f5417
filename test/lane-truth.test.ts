/**
 * Goal: decode and lane together know of a market what happened in it, row for row. Method: the simulator's recordings,
 * with forks and every nuisance, through decode stage, lane stage and hot store, in random batches with restarts; every
 * dataset is then read back and compared with the simulator's own truth, which shares no code with the pipeline.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import bs58 from "bs58";
import type { BlockMeta, Position } from "../pipeline/position.ts";
import type { Cell } from "../pipeline/wire/column.ts";
import { seededRandom } from "../pipeline/world.ts";
import { canonicalLine, INTERVALS, simulate, type Truth } from "../simulator/index.ts";
import { type ReadBlock, readMessage } from "../simulator/naive-reader.ts";
import { SPINPET } from "../stages/decode/programs/spinpet.ts";
import { DecodeStage } from "../stages/decode/stage.ts";
import { LaneStage } from "../stages/sync/lane-stage.ts";
import { SPINPET_EFFECTS } from "../stages/sync/spinpet.ts";
import { HotReader, type Row } from "../storage/hot/reader.ts";
import { HotStore } from "../storage/hot/store.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-truth-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const BATCH_MAX = 6;
const RESTART_SHARE = 0.1;

/** Decodes what comes and gives it to the lane, as the runner would. */
class Pipeline {
  readonly file: string;
  private readonly decode = new DecodeStage({ programs: [SPINPET] });
  private store: HotStore;
  private stage: LaneStage;
  private prev: Position | null = null;
  private finalSlot = 0;

  constructor(file: string) {
    this.file = file;
    this.store = new HotStore({ file, catalog: this.decode.catalog });
    this.stage = new LaneStage(this.store.state, SPINPET_EFFECTS);
  }

  async restart(): Promise<void> {
    await this.store.close();
    this.store = new HotStore({ file: this.file, catalog: this.decode.catalog });
    this.stage = new LaneStage(this.store.state, SPINPET_EFFECTS);
    expect((await this.store.open())?.position ?? null).toEqual(this.prev);
  }

  async data(read: readonly ReadBlock[]): Promise<void> {
    const blocks = read.map(({ slot, hash, cursor, time, finalHeight }): BlockMeta => {
      return { slot, hash, cursor, time, finalSlot: finalHeight };
    });
    const payloads = read.map(({ output }) => output?.value ?? new Uint8Array(0));
    const typeName =
      read.find(({ output }) => output !== null)?.output?.typeName ?? "sf.substreams.solana.v1.Transactions";
    const batch = this.decode.apply({ blocks, payloads, typeName });
    this.finalSlot = Math.max(this.finalSlot, ...blocks.map((b) => b.finalSlot));
    const out = this.stage.apply(batch);
    this.prev = await this.store.commit({ ...this.step(blocks.at(-1)!), blocks }, out);
  }

  async undo(to: { slot: number; hash: string; cursor: string }): Promise<void> {
    if (this.prev === null) return;
    const step = this.step(to);
    await this.store.rollback({ ...step, blocks: [] });
    this.prev = step.next;
  }

  async close(): Promise<void> {
    await this.store.close();
  }

  private step({ slot, hash, cursor }: { slot: number; hash: string; cursor: string }) {
    return { prev: this.prev, next: { slot, hash, cursor, moduleHash: "m" }, finalSlot: this.finalSlot, inputSeq: 0 };
  }
}

async function told(options: {
  seed: number;
  output: "transactions" | "block";
  blocks: number;
}): Promise<{ truth: Truth; file: string }> {
  const pipeline = new Pipeline(join(folder, `${options.output}-${options.seed}.sqlite`));
  await pipeline.restart();
  const random = seededRandom(options.seed);
  let batch: ReadBlock[] = [];
  const flush = async () => {
    if (batch.length > 0) await pipeline.data(batch);
    batch = [];
    if (random() < RESTART_SHARE) await pipeline.restart();
  };
  const messages = simulate({ ...options, truth: "lines" });
  for (let next = messages.next(); ; next = messages.next()) {
    if (next.done === true) {
      await flush();
      await pipeline.close();
      return { truth: next.value!, file: pipeline.file };
    }
    const message = readMessage(next.value);
    if ("block" in message) batch.push(message.block);
    if ("undo" in message || batch.length >= 1 + random() * BATCH_MAX) await flush();
    if ("undo" in message) await pipeline.undo(message.undo);
  }
}

function rowsOf(reader: HotReader, dataset: string): Row[] {
  return [...reader.tableRows(dataset)].flatMap((table) =>
    Array.from({ length: table.length }, (_, i) => table.row(i)),
  );
}

/** Addresses and signatures in base58, as the truth writes them; any other bytes in hex. */
const textOf = (cell: Cell | undefined): string =>
  cell instanceof Uint8Array && (cell.length === 32 || cell.length === 64) ? bs58.encode(cell) : canonicalLine([cell]);

const line = (row: Row, columns: readonly string[]) => columns.map((column) => textOf(row[column])).join("|");

const IDENTITY = ["slot", "block_time", "signature", "instruction_path", "ordinal"];
const CANDLE = ["time", "mint", "open", "high", "low", "close", "volume_base", "volume_quote", "trades"];

/** The lines of a dataset as the truth orders them. */
function linesOf(reader: HotReader, dataset: string, truth: Truth): string[] {
  if (dataset.startsWith("candles_")) {
    const seconds = INTERVALS[dataset.slice("candles_".length) as keyof typeof INTERVALS];
    const rows = rowsOf(reader, "candles").filter((row) => row.interval === seconds);
    return sortedBy(rows, (row) => `${String(row.time).padStart(12, "0")} ${textOf(row.mint)}`).map((row) =>
      line(row, CANDLE),
    );
  }
  const rows = rowsOf(reader, dataset);
  switch (dataset) {
    case "mints":
      return sortedBy(rows, (row) => textOf(row.mint)).map((row) => line(row, Object.keys(truth.mints[0]!)));
    case "orders":
      return sortedBy(rows, (row) => textOf(row.order_pda)).map((row) => line(row, Object.keys(truth.orders[0]!)));
    case "user_events":
      return sortedBy(rows, placeOf).map((row) => line(row, [...IDENTITY, "event", "user", "mint"]));
    case "quarantine":
      return rows.map((row) => line(row, [...IDENTITY, "program", "payload"]));
    default: {
      const own = Object.keys(rows[0] ?? {}).filter((column) => column !== "tx_index" && column !== "event_index");
      return rows.map((row) => line(row, own));
    }
  }
}

const placeOf = (row: Row) =>
  [row.slot, row.tx_index, row.event_index].map((n) => String(n).padStart(12, "0")).join(".");

function sortedBy(rows: readonly Row[], key: (row: Row) => string): Row[] {
  return rows.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

test.each([
  { seed: 1, output: "transactions", blocks: 400 },
  { seed: 2, output: "transactions", blocks: 150 },
  { seed: 3, output: "block", blocks: 60 },
] as const)(
  "a lane knows what happened: $output, seed $seed",
  async (options) => {
    const { truth, file } = await told(options);
    expect(truth.chain.undos).toBeGreaterThan(0);
    const reader = new HotReader(file);
    for (const [dataset, expected] of Object.entries(truth.lines!)) {
      const lines = linesOf(reader, dataset, truth);
      expect({ dataset, lines }).toEqual({ dataset, lines: [...expected] });
    }
    reader.close();
  },
  300_000,
);
