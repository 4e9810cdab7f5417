-- What closed positions paid out, by who closed them.
WITH closed AS (
  SELECT payer, mint, user_close_profit FROM full_close
  UNION ALL BY NAME
  SELECT payer, mint, user_close_profit FROM partial_close
)
SELECT payer, count(*) AS closed, count(DISTINCT mint) AS tokens, sum(user_close_profit) / 1e9 AS sol
FROM closed
GROUP BY payer
ORDER BY sum(user_close_profit) DESC, payer
LIMIT 50;
