-- Candles of a length that is not kept ready, here ten minutes, folded from trades in the lake: the same fold as the live
-- one, exact integers, in chain order. Works for times whose candles have aged out of the hot stores.
WITH priced AS (
  SELECT mint, block_time // 600 * 600 AS time, price, quote_amount, (slot, tx_index, event_index) AS place,
         lag(price) OVER (PARTITION BY mint ORDER BY slot, tx_index, event_index) AS price_before
  FROM trades
  WHERE mint IS NOT NULL
)
SELECT mint, to_timestamp(time) AS start,
       arg_min(coalesce(price_before, price), place) AS open,
       greatest(max(price), arg_min(coalesce(price_before, price), place)) AS high,
       least(min(price), arg_min(coalesce(price_before, price), place)) AS low,
       arg_max(price, place) AS close,
       sum(quote_amount) AS lamports, count(*) AS trades
FROM priced
GROUP BY mint, time
ORDER BY trades DESC, mint, time
LIMIT 100;
