-- Wallets by SOL swapped, with how much they bought and sold, and in how many tokens.
SELECT user, sum(quote_amount) / 1e9 AS sol,
       coalesce(sum(quote_amount) FILTER (WHERE is_buy), 0) / 1e9 AS bought,
       coalesce(sum(quote_amount) FILTER (WHERE NOT is_buy), 0) / 1e9 AS sold,
       count(DISTINCT mint) AS tokens, count(*) AS swaps
FROM trades
WHERE quote_amount IS NOT NULL
GROUP BY user
ORDER BY sum(quote_amount) DESC, user
LIMIT 50;
