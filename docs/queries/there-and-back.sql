-- Wallets that bought and sold the same token within one slot, with another wallet's trade between: what a sandwich looks
-- like in the order of the chain. A hint, not a verdict.
WITH placed AS (
  SELECT mint, slot, user, is_buy, quote_amount, signature,
         row_number() OVER (PARTITION BY mint, slot ORDER BY tx_index, event_index) AS place
  FROM trades
  WHERE quote_amount IS NOT NULL AND mint IS NOT NULL
)
SELECT a.slot, a.mint, a.user, a.quote_amount / 1e9 AS bought, b.quote_amount / 1e9 AS sold, b.place - a.place - 1 AS between,
       a.signature AS buy, b.signature AS sell
FROM placed a JOIN placed b ON a.mint = b.mint AND a.slot = b.slot AND a.user = b.user AND b.place > a.place
WHERE a.is_buy AND NOT b.is_buy
  AND EXISTS (SELECT 1 FROM placed c WHERE c.mint = a.mint AND c.slot = a.slot AND c.user <> a.user
              AND c.place BETWEEN a.place AND b.place)
ORDER BY a.slot DESC, a.mint, a.place
LIMIT 50;
