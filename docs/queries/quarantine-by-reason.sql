-- What could not be decoded: by program, reason and discriminator, with when it began. New rows here mean that a program
-- has changed its layouts.
SELECT program, reason, hex(discriminator) AS discriminator, count(*) AS payloads, min(octet_length(payload)) AS bytes_min,
       max(octet_length(payload)) AS bytes_max, to_timestamp(min(block_time)) AS first, to_timestamp(max(block_time)) AS last
FROM quarantine
GROUP BY program, reason, discriminator
ORDER BY payloads DESC, program, reason, discriminator;
