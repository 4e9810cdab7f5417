-- Transactions that emitted several trades, for example a position that was opened and liquidated by the same bundle.
SELECT signature, any_value(slot) AS slot, count(*) AS trades, count(DISTINCT mint) AS tokens, list(DISTINCT kind ORDER BY kind) AS kinds
FROM trades
GROUP BY signature
HAVING count(*) > 1
ORDER BY trades DESC, slot, signature
LIMIT 50;
