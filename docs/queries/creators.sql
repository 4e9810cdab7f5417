-- Who creates tokens, how many, and what was swapped in them.
SELECT c.payer AS creator, count(DISTINCT c.mint) AS tokens, coalesce(sum(t.lamports), 0) / 1e9 AS sol
FROM token_created c
LEFT JOIN (SELECT mint, sum(quote_amount) AS lamports FROM trades GROUP BY mint) t USING (mint)
GROUP BY c.payer
ORDER BY tokens DESC, creator
LIMIT 50;
