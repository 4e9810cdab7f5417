/** What is asked: a look-up of one token, and five questions of analysts, each in the lake's SQL and in SQLite's. */
import { mintAddress, START_TIME } from "./data.ts";

export interface Question {
  readonly lake: string;
  readonly sqlite: string;
}

/** A token of the middle: neither the busiest nor one that hardly trades. */
const MINT = mintAddress(500);
const HOT_MINT = mintAddress(0);
/** The second day. */
const FROM = START_TIME + 86_400;
const DAY = `block_time >= ${FROM} AND block_time < ${FROM + 86_400}`;

export const QUESTIONS: Readonly<Record<string, Question>> = {
  "look-up": {
    lake: `SELECT slot, tx_index, user, kind, is_buy, base_amount, quote_amount, price FROM trades
      WHERE mint = '${MINT}' ORDER BY slot, tx_index`,
    sqlite: `SELECT slot, tx_index, u.address, kind, is_buy, base_amount, quote_amount, price
      FROM trades t JOIN traders u ON u.id = t.user_id
      WHERE mint_id = (SELECT id FROM mints WHERE address = '${MINT}') ORDER BY slot, tx_index`,
  },
  candles: {
    lake: `SELECT block_time // 300 * 300 AS time, max(price), min(price), sum(quote_amount), count(*) FROM trades
      WHERE mint = '${HOT_MINT}' AND ${DAY} GROUP BY time ORDER BY time`,
    sqlite: `SELECT block_time / 300 * 300 AS time, max(price), min(price), sum(quote_amount), count(*) FROM trades
      WHERE mint_id = (SELECT id FROM mints WHERE address = '${HOT_MINT}') AND ${DAY} GROUP BY time ORDER BY time`,
  },
  "hot mints": {
    lake: `SELECT mint, count(*) AS n, sum(quote_amount) AS volume FROM trades WHERE ${DAY}
      GROUP BY mint ORDER BY n DESC, mint LIMIT 20`,
    sqlite: `SELECT address, count(*) AS n, sum(quote_amount) AS volume FROM trades JOIN mints m ON m.id = mint_id WHERE ${DAY}
      GROUP BY mint_id ORDER BY n DESC, address LIMIT 20`,
  },
  traders: {
    lake: `SELECT block_time // 3600 AS hour, count(DISTINCT user) FROM trades WHERE ${DAY} GROUP BY hour ORDER BY hour`,
    sqlite: `SELECT block_time / 3600 AS hour, count(DISTINCT user_id) FROM trades WHERE ${DAY} GROUP BY hour ORDER BY hour`,
  },
  "volume by day": {
    lake: `SELECT block_time // 86400 AS day, count(*), sum(quote_amount), count(*) FILTER (WHERE is_buy) FROM trades
      GROUP BY day ORDER BY day`,
    sqlite: `SELECT block_time / 86400 AS day, count(*), sum(quote_amount), count(*) FILTER (WHERE is_buy) FROM trades
      GROUP BY day ORDER BY day`,
  },
  whales: {
    lake: `SELECT user, sum(quote_amount) AS volume, count(*) FROM trades GROUP BY user ORDER BY volume DESC, user LIMIT 20`,
    sqlite: `SELECT address, volume, n FROM (SELECT user_id, sum(quote_amount) AS volume, count(*) AS n FROM trades GROUP BY user_id)
      JOIN traders u ON u.id = user_id ORDER BY volume DESC, address LIMIT 20`,
  },
};
