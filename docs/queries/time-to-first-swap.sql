-- Seconds from a token's creation to its first swap: the median and the longest, by hour of creation.
WITH waits AS (
  SELECT c.block_time // 3600 AS hour, min(t.block_time) - any_value(c.block_time) AS seconds
  FROM token_created c JOIN trades t ON t.mint = c.mint AND t.quote_amount IS NOT NULL
  GROUP BY c.mint, hour
)
SELECT to_timestamp(hour * 3600) AS hour, count(*) AS tokens, median(seconds) AS median_seconds, max(seconds) AS longest
FROM waits
GROUP BY hour
ORDER BY hour DESC;
