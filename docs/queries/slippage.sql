-- How far single swaps moved the price: the price after each against the one before it, in per cent, the median and the
-- worst by token. `price` is that after the event, so the row before it in chain order has the price that was found.
WITH moves AS (
  SELECT mint, quote_amount,
         100 * abs(price::DOUBLE / lag(price) OVER (PARTITION BY mint ORDER BY slot, tx_index, event_index)::DOUBLE - 1) AS moved
  FROM trades
  WHERE mint IS NOT NULL
)
SELECT mint, count(*) AS swaps, round(median(moved), 4) AS median_percent, round(max(moved), 4) AS worst_percent,
       median(quote_amount) / 1e9 AS median_sol
FROM moves
WHERE moved IS NOT NULL AND quote_amount IS NOT NULL
GROUP BY mint
ORDER BY median_percent DESC, mint
LIMIT 50;
