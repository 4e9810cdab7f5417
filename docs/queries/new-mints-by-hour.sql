-- Tokens created in each hour, and how many of them were ever swapped.
SELECT to_timestamp(c.block_time // 3600 * 3600) AS hour, count(*) AS created, count(t.mint) AS swapped
FROM token_created c
LEFT JOIN (SELECT DISTINCT mint FROM trades WHERE quote_amount IS NOT NULL) t USING (mint)
GROUP BY c.block_time // 3600
ORDER BY c.block_time // 3600 DESC;
