/**
 * What each recording decodes to, a line for a row: dataset, instruction path, first characters of the token, then the row's large
 * integers but for times. Held against the recordings' own words where they have some: amounts in parsed instructions and logs.
 */
export const LINES: Readonly<Record<string, readonly string[]>> = {
  "carbon_cpi_tx.json": [
    "meteora_dlmm_ix_swap 3.0 - 9372599925000 1",
    "token_transfer 3.1 CVDF 9372599925000",
    "token_transfer 3.2 CVDF 1700985700449",
    "meteora_dlmm_swap 3.3 - 9372599925000 1700985700449 23541740348 1177087017 2521758 0",
    "token_transfer 3.4 CVDF 80350075000",
  ],
  "carbon_nested_cpi_tx.json": [
    "meteora_dlmm_ix_swap 1.0 - 1998271723 15972391931",
    "token_transfer 1.1 CVDF 1998271723",
    "token_transfer 1.2 CVDF 15972391931",
    "meteora_dlmm_swap 1.3 - 1998271723 15972391931 2447883 122394 1225000 0",
  ],
  "carbon_simple_tx.json": [
    "token_transfer 1.0 CVDF 5430576418647",
    "moonshot_trade 1 - 5430576418647 1639908 9839 6560 746509767000000000",
    "trades 1 - 5430576418647 1639908 3019767836005472487599",
  ],
  "client_block_v2.json": ["token_transfer 0.0 z3dn 1242000000"],
  "client_block_without_parent_hash.json": [],
  "parser_block_241043141_v2.json": [],
  "parser_block_account_deletion.json": [
    "orca_whirlpool_ix_swap 2.0 - 50000000 0 79226673515401279992447579055",
    "token_transfer 2.1 Fish 50000000",
    "token_transfer 2.2 So11 129112223",
  ],
  "parser_block_with_versioned_tx.json": ["token_transfer 6 EPjF 22299044"],
  "parser_transaction_err.json": [],
  "spinpet_logs_notifications.json": ["token_created 0 81WZ", "token_created 0 GRRo"],
  "vixen_1JXEeNsaTdwwnTAsQBLvA63cMSh3uKHnCLB8cB23oHdcszMM82k3skn79RmFfi9iUvav1spsUCG3C5QXT6U9Du2_tx.json": [],
  "vixen_2WhQXGYdZrrQrixgsxALHgZUiM5SdHasiX56jJb6QMZHXnYf69zFfUoJLmCjKHzfuA2UV5kaPRfhqPGudJDZeWwk_tx.json": [],
  "vixen_3WUyNrFiDCV9g8yHgftMDYCN2j2CP2E6hkAGqKSnhK9QJUGFofhgUzvE712Ya3u92kioRJ1zsdkWAAC6CaJrcFKN_tx.json": [],
  "vixen_3YLwc2z7pbzU1xbduwxkjjMcdzyPE7ozoVH5jrMMDzNEK7zUgdMhbtBwE17gJcgBNBKvNxWrCS76qzfjpabXgwoL_tx.json": [],
  "vixen_3jaLYNHZBxPxAcXUYdsMRhrDL19YpS7jDgkq5p4GDcsfUK82sLAuDv9gnRhw5KkAh8yWgomZnHn8Lbz3uvbqKpAC_tx.json": [
    "jupiter_limit_order_ix_pre_flash_fill_order 1 - 151188480",
    "jupiter_limit_order_ix_flash_fill_order 12 - 91407969193",
    "jupiter_limit_order_trade 12 - 0 0 151188480 91407969193",
  ],
  "vixen_3kHqY7UUDsyqYoyhSBNjpQjWCr8BhZB6eT7MDzU2ThwECuDdRHm2FjUktikf6crHLmHo5WWuEBdL4caZec5YbFTg_tx.json": [
    "token_transfer 3.2 EPjF 178057299",
    "token_transfer 3.3 So11 2752920000",
  ],
  "vixen_5cqt7QpW2WhyQoJC7u8WhVivoUC5rWrHudWAssYrm2xDTTvVszVAXyCidco5DAXqwc4u4DSAXmmt1kzCKwJP2iW8_tx.json": [
    "token_mint_to 2 7T1F 76000000",
  ],
  "vixen_5esX3MC2s6rQcG1y9npt2jL5HjtUUSSXst1v16vuSng3wAv9uaskiL47kxb5zFnNZVqZVKYdYQVM92hXRKYkYU8x_tx.json": [],
  "vixen_5mYEUYXCZisS8CChCG8mL8N3NEWHUA81Rr7kLA28P5upSzDStLq1f4QKhFLY7R8GsRNB27gM6YzvKerxejtLQxCj_tx.json": [],
  "vixen_VLzYfuPuxFcAV841yKgyvuYeJK9VgBKf9YSH4jHGLAJhc84jJZzYbrh97XJRQh3tfsLEAEkws3CRcmhsGeDEdFk_tx.json": [
    "pump_amm_sell 3.2 - 111914692932 0 118015907819 0 37341779224049 1001203836819 2991678743 20 5983358 5 1495840 2985695385 2967745311 0 0 55 16454234",
  ],
  "vixen_XbXyUniNYySCWreUPhqtnXXDtyVXvFnCqAdQupwfzT332biDHq6oBgT1wfdrZ1KhjeEWM5W25YUMn815P76eVfZ_tx.json": [
    "jupiter_dca_ix_initiate_flash_fill 1 -",
    "jupiter_dca_ix_fulfill_flash_fill 3 - 316846343",
    "jupiter_dca_collected_fee 3.1 JUPy 320046",
    "jupiter_dca_filled 3.2 - 48233333 319726771 320046",
    "jupiter_dca_ix_transfer 4 -",
    "jupiter_dca_withdraw 4.1 - 0 319726771",
  ],
  "vixen_dP4TfbypYZoTkDLFAojCXQHmxyV6vQ3sgbHJtQhMHWpTAEpxGSTTAG63woEqxVvgq9QQLSFhRXpRwii2RkF6xnD_tx.json": [
    "token_transfer 2.7 - 1035733",
    "jupiter_fee 2.8 So11 1035733",
    "token_transfer 2.9 - 516831004",
    "token_transfer 2.11 - 516831004",
    "token_transfer 2.12 - 44833319",
    "jupiter_swap 2.13 EPjF 516831004 44833319",
    "token_transfer 2.14 - 44833319",
  ],
  "vixen_eVwmoRFFUwqqcak7vF18fi7jLw1puwkn7cEWFEy8MAKYAVayAH2U4Yb9BzvJkcNpprcqkzsGWMHtRTUHTxqyCJ1_tx.json": [],
};
