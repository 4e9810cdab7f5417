-- The largest swaps, with the transaction to look up.
SELECT to_timestamp(block_time) AS time, mint, user, is_buy, quote_amount / 1e9 AS sol, price / 1e28 AS price, signature
FROM trades
WHERE quote_amount IS NOT NULL
ORDER BY quote_amount DESC, slot, tx_index, event_index
LIMIT 50;
