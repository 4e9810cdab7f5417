/**
 * The rows that all contenders write: trades of one roll in columns, as the decode stage hands them on, made from a seed. A few
 * mints have most of the trades, traders come back, prices walk, and signatures are noise, as on the chain.
 */
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { type Table, TableBuilder } from "../../pipeline/wire/table.ts";
import { seededRandom } from "../../pipeline/world.ts";
import { orderRows } from "../../storage/lake/order.ts";

/** Half a row group of DuckDB's default size. */
export const ROWS = 61_440;
const SEED = 1;
const MINTS = 2_000;
const TRADERS = 30_000;
/** Midnight UTC: all rows are of one date, as in a file of the lake. */
const START_TIME = 1_759_276_800;
const TRADES_PER_SLOT = 12;
const START_SLOT = 370_500_000;

export interface Input {
  readonly table: Table;
  /** Row numbers in the lake's order: by mint, then in chain order. */
  readonly ordered: Uint32Array;
}

export function makeInput(): Input {
  const random = seededRandom(SEED);
  const noise = (bytes: number) => Uint8Array.from({ length: bytes }, () => random() * 256);
  const mints = Array.from({ length: MINTS }, () => ({
    address: noise(32),
    price: 10n ** 20n + BigInt(Math.floor(random() * 1e15)) * 1_000n,
  }));
  const traders = Array.from({ length: TRADERS }, () => noise(32));
  const program = noise(32);
  const builder = new TableBuilder(TRADES, ROWS);
  for (let row = 0; row < ROWS; row++) {
    const slot = START_SLOT + Math.floor(row / TRADES_PER_SLOT);
    // The n-th mint is traded about 1/n as often as the first.
    const mint = mints[Math.floor(MINTS ** random()) - 1]!;
    const isSwap = random() < 0.8;
    mint.price += (mint.price * BigInt(Math.floor(random() * 200) - 100)) / 10_000n;
    builder.appendCells({
      slot,
      block_time: START_TIME + Math.floor((slot - START_SLOT) * 0.4),
      tx_index: row % TRADES_PER_SLOT,
      event_index: 0,
      signature: noise(64),
      instruction_path: random() < 0.5 ? "2" : `${Math.floor(random() * 4)}.${Math.floor(random() * 6)}`,
      ordinal: 0,
      program,
      mint: mint.address,
      kind: isSwap ? "buy_sell" : "long_short",
      user: traders[Math.floor(random() * TRADERS)]!,
      is_buy: isSwap ? random() < 0.5 : null,
      base_amount: isSwap ? BigInt(Math.floor(random() * 1e15)) : null,
      quote_amount: isSwap ? BigInt(Math.floor(random() * 1e10)) : null,
      price: mint.price,
    });
  }
  const table = builder.finish();
  return { table, ordered: orderRows(table, allRows()) };
}

export function allRows(): Uint32Array {
  return Uint32Array.from({ length: ROWS }, (_, row) => row);
}
