-- Tokens that once traded and then fell silent, longest silence first.
WITH latest AS (SELECT max(block_time) AS now FROM trades)
SELECT mint, to_timestamp(max(block_time)) AS last_trade, any_value(now) - max(block_time) AS silent_seconds,
       count(*) AS trades
FROM trades, latest
WHERE mint IS NOT NULL
GROUP BY mint
ORDER BY silent_seconds DESC, mint
LIMIT 50;
