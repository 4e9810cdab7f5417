-- What is open now, by token and side: positions, margin, and what is borrowed (lamports for longs, base units for shorts).
SELECT mint, CASE order_type WHEN 1 THEN 'long' ELSE 'short' END AS side, count(*) AS positions,
       sum(margin_sol_amount) / 1e9 AS margin_sol, sum(borrow_amount) AS borrowed
FROM orders
GROUP BY mint, order_type
ORDER BY margin_sol DESC, mint, side
LIMIT 100;
