-- One-minute candles of the token that traded most, newest first. Prices in SOL per token, volume in SOL.
-- Open is the price before the first trade, so candles join without a jump.
WITH busiest AS (SELECT mint FROM trades WHERE mint IS NOT NULL GROUP BY mint ORDER BY count(*) DESC, mint LIMIT 1)
SELECT to_timestamp(time) AS minute, open / 1e28 AS open, high / 1e28 AS high, low / 1e28 AS low, close / 1e28 AS close,
       volume_quote / 1e9 AS sol, trades
FROM candles JOIN busiest USING (mint)
WHERE interval = 60
ORDER BY time DESC
LIMIT 100;
