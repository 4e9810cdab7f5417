-- SOL bought less SOL sold by token in the last hour of chain time.
WITH latest AS (SELECT max(block_time) AS now FROM trades)
SELECT mint, (sum(CASE WHEN is_buy THEN quote_amount::HUGEINT ELSE -quote_amount::HUGEINT END)) / 1e9 AS net_sol,
       count(*) FILTER (WHERE is_buy) AS buys, count(*) FILTER (WHERE NOT is_buy) AS sells
FROM trades, latest
WHERE quote_amount IS NOT NULL AND block_time > latest.now - 3600
GROUP BY mint
ORDER BY net_sol DESC, mint
LIMIT 50;
