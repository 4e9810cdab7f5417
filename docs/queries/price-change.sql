-- Price now against the price an hour of chain time ago, by token: the last trade before that moment has it.
WITH latest AS (SELECT max(block_time) AS now FROM trades),
     priced AS (
       SELECT mint, arg_max(price, (slot, tx_index, event_index)) AS price,
              arg_max(price, (slot, tx_index, event_index)) FILTER (WHERE block_time <= now - 3600) AS before,
              arg_min(price, (slot, tx_index, event_index)) AS first
       FROM trades, latest
       WHERE mint IS NOT NULL
       GROUP BY mint
     )
SELECT mint, price / 1e28 AS price, round(100 * (price::DOUBLE / coalesce(before, first)::DOUBLE - 1), 2) AS percent,
       before IS NULL AS younger_than_an_hour
FROM priced
ORDER BY percent DESC, mint
LIMIT 100;
