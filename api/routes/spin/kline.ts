/** `/api/kline`: hot candles by page. */
import { Type as t } from "@sinclair/typebox";
import { CANDLE_SECONDS } from "../../../pipeline/datasets/candles.ts";
import { decimal, numberText } from "../../json.ts";
import { address, bad, oneOf, type Param } from "../../params.ts";
import type { Row, TokenReads } from "../../reads/index.ts";
import type { Route } from "../route.ts";
import { enveloped, limit, NO_PAGE, offsetOf, order, PAGINATION, page, pagination, required } from "./envelope.ts";
import { addressText } from "./rows.ts";

export const KLINE_INTERVALS = ["s1", "s30", "m5"] as const;
export type KlineInterval = (typeof KLINE_INTERVALS)[number];

const interval: Param<KlineInterval> = {
  schema: oneOf(KLINE_INTERVALS),
  required: true,
  doc: "length of a candle",
  read(text) {
    const found = KLINE_INTERVALS.find((name) => name === text);
    if (found === undefined) throw bad(`interval parameter must be one of: ${KLINE_INTERVALS.join(", ")}`);
    return found;
  },
};

const Kline = t.Object(
  {
    time: t.Integer({ description: "start, Unix seconds" }),
    open: t.Number({ description: "SOL per token" }),
    high: t.Number(),
    low: t.Number(),
    close: t.Number(),
    volume: t.Number({ description: "SOL swapped" }),
    is_final: t.Boolean({ description: "it will not change any more" }),
    update_count: t.Integer({ description: "trades folded in" }),
  },
  { title: "SpinpetKline" },
);

export function klineRoutes(reads: TokenReads): Route[] {
  return [
    enveloped({
      method: "GET",
      path: "/api/kline",
      summary: "Candles of a token by page; `/v1/candles` has every interval, and old ones",
      params: {
        mint: required(address("the token")),
        interval,
        limit,
        page,
        order_by: order(["time_asc", "time_desc"], "order_by must be 'time_asc' or 'time_desc'"),
      },
      data: t.Object({ klines: t.Array(Kline), interval: t.String(), mint_account: t.String(), ...PAGINATION }),
      empty: { klines: [], interval: "", mint_account: "", ...NO_PAGE },
      version: ({ params }) => reads.version(params.mint),
      handle({ params }) {
        const { mint, interval, limit, order_by } = params;
        const seconds = CANDLE_SECONDS[interval];
        const { data, standing } = reads.candlePage(mint, seconds, {
          order: order_by,
          limit,
          offset: offsetOf(params),
        });
        return {
          klines: data.map((row) => klineBody(row, seconds, standing.finalTime)),
          interval,
          mint_account: addressText(mint),
          ...pagination(reads.candleCount(mint, seconds), params),
        };
      },
    }),
  ];
}

/** `finalTime`: candles that ended by then will not change, Unix seconds. Prices and volume carry all their digits. */
export function klineBody(row: Row, seconds: number, finalTime: number | null) {
  const price = (name: string) => numberText(decimal(row[name] as bigint, 28));
  const time = Number(row["time"]);
  return {
    time,
    open: price("open"),
    high: price("high"),
    low: price("low"),
    close: price("close"),
    volume: numberText(decimal(row["volume_quote"] as bigint, 9)),
    is_final: finalTime !== null && time + seconds <= finalTime,
    update_count: row["trades"],
  };
}
