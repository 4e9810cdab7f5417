-- Positions liquidated by token, beside all that were opened: which markets break their traders.
SELECT mint, count(*) AS liquidated, any_value(o.opened) AS opened,
       round(100.0 * count(*) / any_value(o.opened), 1) AS percent, to_timestamp(max(l.block_time)) AS last
FROM force_liquidate l
LEFT JOIN (SELECT mint, count(*) AS opened FROM long_short GROUP BY mint) o USING (mint)
GROUP BY mint
ORDER BY liquidated DESC, mint
LIMIT 50;
