-- Everything that happened to the token that traded most, in the order of the chain.
WITH busiest AS (SELECT mint FROM trades WHERE mint IS NOT NULL GROUP BY mint ORDER BY count(*) DESC, mint LIMIT 1),
     events AS (
       SELECT mint, slot, tx_index, event_index, block_time, 'created' AS event, payer AS who, NULL AS lamports FROM token_created
       UNION ALL SELECT mint, slot, tx_index, event_index, block_time, kind, user, quote_amount FROM trades
       UNION ALL SELECT mint, slot, tx_index, event_index, block_time, 'liquidated', payer, NULL FROM force_liquidate
       UNION ALL SELECT mint, slot, tx_index, event_index, block_time, 'discount', payer, NULL FROM milestone_discount
     )
SELECT to_timestamp(block_time) AS time, slot, event, who, lamports / 1e9 AS sol
FROM events JOIN busiest USING (mint)
ORDER BY slot, tx_index, event_index, event
LIMIT 1000;
