-- Wallets that traded in each hour, and how many of them were seen for the first time.
WITH first_seen AS (SELECT user, min(block_time) // 3600 AS hour FROM trades GROUP BY user),
     by_hour AS (SELECT DISTINCT user, block_time // 3600 AS hour FROM trades)
SELECT to_timestamp(b.hour * 3600) AS hour, count(*) AS wallets, count(f.user) AS first_time
FROM by_hour b LEFT JOIN first_seen f ON f.user = b.user AND f.hour = b.hour
GROUP BY b.hour
ORDER BY b.hour DESC;
