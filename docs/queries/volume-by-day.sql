-- Trades, SOL swapped, tokens and wallets by day (UTC). `final` tells whether the day can still change by a fork.
SELECT date, count(*) AS trades, sum(quote_amount) / 1e9 AS sol, count(DISTINCT mint) AS tokens,
       count(DISTINCT user) AS wallets, bool_and(final) AS final
FROM trades
GROUP BY date
ORDER BY date DESC;
