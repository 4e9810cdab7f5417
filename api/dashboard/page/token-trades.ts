/** The newest trades of a token. A line shows where they begin to be final: nothing below it will be undone. */
import type { TradeAnswer } from "./answers.ts";
import { type Entry, h, KeyedList, setText } from "./dom.ts";
import { amountOf, brief, clock, count, price, short, sol, words } from "./format.ts";
import { tableOf } from "./panel-mints.ts";

/** Decimals of the tokens; those of launchpads have six. */
const TOKEN_DIGITS = 6;
const SHOWN = 60;

type Line = { readonly trade: TradeAnswer } | { readonly finalUpTo: number };

export class TokenTrades {
  readonly element: HTMLElement;
  private readonly list: KeyedList<Line>;

  constructor() {
    const { table, rows } = tableOf(["Time", "Side", "Price", "SOL", "Tokens", "User"]);
    table.classList.add("trades");
    this.element = table;
    this.list = new KeyedList<Line>(rows, keyOf, entry);
  }

  show(trades: readonly TradeAnswer[], finalUpTo: number): void {
    const shown = trades.slice(0, SHOWN);
    const firstFinal = shown.findIndex((trade) => trade.slot <= finalUpTo);
    const at = firstFinal < 0 ? shown.length : firstFinal;
    const lines: Line[] = shown.map((trade) => ({ trade }));
    this.list.show(shown.length === 0 ? [] : lines.toSpliced(at, 0, { finalUpTo }));
  }
}

const keyOf = (line: Line) =>
  "trade" in line
    ? `${line.trade.slot}:${line.trade.tx_index}:${line.trade.event_index}:${line.trade.signature}`
    : "final";

function entry(line: Line): Entry<Line> {
  if ("trade" in line) return { element: tradeRow(line.trade), update: () => undefined };
  const text = h("span");
  return {
    element: h("tr", { class: "final" }, h("td", { colspan: "6" }, text)),
    update: (now) => setText(text, "finalUpTo" in now ? `final up to slot ${count(now.finalUpTo)}` : ""),
  };
}

function tradeRow(trade: TradeAnswer): HTMLElement {
  const { is_buy, kind, time, quote_amount, base_amount, user, slot, signature } = trade;
  const side = is_buy === null ? words(kind) : is_buy ? "buy" : "sell";
  const tone = is_buy === null ? "" : is_buy ? "up" : "down";
  return h(
    "tr",
    { title: `slot ${count(slot)}, ${words(kind)}, signature ${signature}` },
    h("td", {}, h("time", {}, clock(time))),
    h("td", { class: tone }, side),
    h("td", {}, price(trade.price)),
    h("td", {}, quote_amount === null ? "" : sol(quote_amount)),
    h("td", {}, base_amount === null ? "" : short(amountOf(base_amount, TOKEN_DIGITS))),
    h("td", { class: "address" }, brief(user)),
  );
}
