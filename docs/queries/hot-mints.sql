-- Tokens by trades in the last hour of chain time, with the SOL swapped and how many wallets took part.
WITH latest AS (SELECT max(block_time) AS now FROM trades)
SELECT mint, any_value(m.symbol) AS symbol, count(*) AS trades, count(DISTINCT t.user) AS wallets,
       sum(quote_amount) / 1e9 AS sol
FROM trades t LEFT JOIN mints m USING (mint), latest
WHERE t.block_time > latest.now - 3600 AND mint IS NOT NULL
GROUP BY mint
ORDER BY trades DESC, mint
LIMIT 50;
