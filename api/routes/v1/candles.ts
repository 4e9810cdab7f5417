/** `/v1/candles/:mint`: candles as compact rows, hot and old as one. */
import { Type as t } from "@sinclair/typebox";
import { CANDLE_SECONDS, type CandleInterval, type CandleRow } from "../../../pipeline/datasets/candles.ts";
import { decimal, toJson } from "../../json.ts";
import { address, bad, choice, integer, optional } from "../../params.ts";
import type { TokenReads } from "../../reads/index.ts";
import { MadeText, ok, type Route, route } from "../route.ts";
import { addressText, one, PRICE_DIGITS, SOL_DIGITS, standingBody } from "./shapes.ts";

/** Candles of one answer. */
const CANDLES_MAX = 5_000;
const INTERVALS = Object.keys(CANDLE_SECONDS) as CandleInterval[];
const TIME = { min: 0, max: 253_402_300_799, default: 0 };

const Candles = t.Object(
  {
    mint: t.String(),
    interval: t.String(),
    columns: t.Array(t.String(), { description: "what the numbers of a row are" }),
    rows: t.Array(t.Array(t.Number()), {
      description:
        "oldest first: start (Unix seconds), open, high, low, close (SOL per token), volume (SOL), trades. Numbers carry " +
        "all their digits: exact for who reads them as decimals.",
    }),
    final_time: t.Union([t.Integer(), t.Null()], {
      description: "candles that ended by this time (Unix seconds) will not change",
    }),
    next_to: t.Union([t.Integer(), t.Null()], {
      description: "there are older ones: ask for them with `to` set to this",
    }),
  },
  { title: "Candles" },
);

export function candleRoutes(reads: TokenReads): Route[] {
  return [
    route({
      method: "GET",
      path: "/v1/candles/:mint",
      summary: "Candles in [from, to), or the last `countback` before `to`; gaps are not filled",
      audience: "read",
      params: {
        mint: address("the token"),
        interval: choice("length of a candle", INTERVALS, "m1"),
        from: optional(integer("earliest start, Unix seconds", TIME)),
        to: optional(integer("starts before this, Unix seconds; without it up to the newest", TIME)),
        countback: optional(
          integer("so many candles before `to`, whatever `from` is", { min: 1, max: CANDLES_MAX, default: 300 }),
        ),
      },
      answers: { 200: one(Candles) },
      version: ({ params }) => reads.version(params.mint),
      async handle({ params }) {
        const { from, to, countback, interval } = params;
        if (from !== null && to !== null && from >= to) throw bad("from must be less than to");
        const isCounted = countback !== null || from === null;
        const range = { from: isCounted ? null : from, to, limit: countback ?? (from === null ? 300 : CANDLES_MAX) };
        const { data, standing } = await reads.candles(params.mint, CANDLE_SECONDS[interval], range);
        const about = toJson({
          mint: addressText(params.mint),
          interval,
          columns: COLUMNS,
          final_time: standing.finalTime,
          next_to: data.more ? Number(data.rows[0]!.time) : null,
        });
        const rows = `"rows":[${data.rows.map(candleText).join(",")}]`;
        return ok(new MadeText(`{"data":${about.slice(0, -1)},${rows}},${toJson(standingBody(standing)).slice(1)}`));
      },
    }),
  ];
}

const COLUMNS = ["time", "open", "high", "low", "close", "volume", "trades"];

/** A candle as a compact row, JSON; the live feed tells it the same way. */
export function candleText({ time, open, high, low, close, volume_quote, trades }: CandleRow): string {
  const prices = [open, high, low, close].map((price) => decimal(price, PRICE_DIGITS)).join(",");
  return `[${time},${prices},${decimal(volume_quote, SOL_DIGITS)},${trades}]`;
}
