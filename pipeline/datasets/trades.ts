/** One row for each change of a token's price, from whatever program: what candles, volumes and trade feeds are made of. */
import type { DatasetSpec } from "./dataset.ts";
import { eventDataset } from "./event.ts";

/** `price` = quote per base in whole units (SOL per token), as an integer multiple of 10^-28. */
export const PRICE_SCALE = 10n ** 28n;

export const TRADES: DatasetSpec = eventDataset({
  name: "trades",
  version: 1,
  doc: "Unified trades: every event that moves a token's price. Volume is set only where tokens were bought or sold on the curve.",
  fields: [
    { name: "kind", type: "utf8", doc: "Event the trade came from: buy_sell, long_short, partial_close, full_close." },
    { name: "user", type: "bytes32", doc: "Payer of the event." },
    {
      name: "is_buy",
      type: "bool",
      nullable: true,
      doc: "True when base was bought; null where the event is not a swap.",
    },
    {
      name: "base_amount",
      type: "u64",
      nullable: true,
      unit: "base units",
      doc: "Token amount; null where it is not volume.",
    },
    {
      name: "quote_amount",
      type: "u64",
      nullable: true,
      unit: "lamports",
      doc: "SOL amount; null where it is not volume.",
    },
    { name: "price", type: "u128", unit: "1e-28 SOL per token", doc: "Price after the event, exact." },
  ],
});
