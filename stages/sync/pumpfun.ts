/** What a token's creation on pump.fun tells of it. Price, volume and candles come from `trades`. */
import type { State } from "../stage.ts";
import type { Effects, EventRow } from "./event-row.ts";
import { changeMint } from "./mint-state.ts";

export const PUMPFUN_EFFECTS: Effects = new Map([["pump_create", created]]);

function created(event: EventRow, state: State): void {
  changeMint(event, state, () => ({
    // Early events name no creator: then it is who sent the transaction.
    created_by: event.bytes(event.isNull("creator") ? "user" : "creator"),
    create_timestamp: event.bigint("block_time"),
    curve_account: event.bytes("bonding_curve"),
    name: event.string("name"),
    symbol: event.string("symbol"),
    uri: event.string("uri"),
  }));
}
