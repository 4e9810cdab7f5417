/** What all contenders tell: blocks of 400 trades, a second's worth of a busy launchpad in 0.4 s, as the LIVE stream has them. */
import type { Followed } from "../../api/live/hub.ts";
import type { HeldStep } from "../../api/live/window.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { LiveCommit } from "../../pipeline/live-lane.ts";
import type { FeedStep } from "../../pipeline/live-merge.ts";
import { liveCatalog } from "../../pipeline/live-message.ts";
import { positionOf } from "../../pipeline/nats-fixture.ts";
import { encodeMessage, rowCodec } from "../../pipeline/wire/message.ts";
import { TableBuilder } from "../../pipeline/wire/table.ts";

export const CLIENTS = 200;
export const BLOCKS = 30;
export const TRADES_PER_BLOCK = 400;
/** Found in the last frame of the last block and nowhere else. */
export const LAST = `"ordinal":${TRADES_PER_BLOCK}},"trade":{"slot":${BLOCKS},`;

const catalog = liveCatalog(new Map([[TRADES.name, TRADES]]));
const codec = rowCodec(catalog);

/** Steps of the feed, not decoded yet. */
export function steps(): FeedStep[] {
  return Array.from({ length: BLOCKS }, (_, i): FeedStep => {
    const slot = i + 1;
    const { hash, cursor } = positionOf(slot);
    const trades = new TableBuilder(TRADES, TRADES_PER_BLOCK);
    for (let n = 0; n < TRADES_PER_BLOCK; n++) trades.appendCells(tradeCells(slot, n));
    const blocks = [{ slot, hash, cursor, time: 1_700_000_000 + slot, finalSlot: 0 }];
    const body = { blocks, tables: new Map([[TRADES.name, trades.finish()]]) };
    const prev = slot === 1 ? null : positionOf(slot - 1);
    const message = encodeMessage({ kind: "data", prev, next: positionOf(slot), finalSlot: 0, body }, codec, slot);
    return { kind: "block", block: { slot, hash }, time: 0, finalSlot: 0, commits: [new LiveCommit(message, catalog)] };
  });
}

function tradeCells(slot: number, n: number) {
  const bytes = (length: number, salt: number) =>
    Uint8Array.from({ length }, (_, i) => (slot * 31 + n * 7 + i * salt) & 0xff);
  return {
    slot: BigInt(slot),
    block_time: BigInt(1_700_000_000 + slot),
    tx_index: n,
    event_index: 0,
    signature: bytes(64, 13),
    instruction_path: "2.1",
    ordinal: 0,
    program: bytes(32, 3),
    mint: bytes(32, 5),
    kind: "buy_sell",
    user: bytes(32, 11),
    is_buy: n % 2 === 0,
    base_amount: BigInt(n) * 1_000_003n,
    quote_amount: BigInt(n) * 10_007n,
    price: BigInt(n + 1) << 60n,
  };
}

/** A feed that tells the steps when it is let, and then nothing more. */
export function feedOf(told: readonly FeedStep[], before: () => Promise<void>): Followed["feed"] {
  return {
    isEmpty: async () => true,
    oldest: async () => null,
    async *read(_from, signal) {
      for (const step of told) {
        await before();
        yield step;
      }
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    },
  };
}

/** The messages of a step as text: what the peers send, made beforehand. */
export function textsOf(held: HeldStep): string[] {
  return held.groups.flatMap(({ items }) => items.map(({ frame }) => frame.text));
}
