/** The newest trades of a token. A line shows where they begin to be final: nothing below it will be undone. */
import type { TradeAnswer } from "./answers.ts";
import { type Entry, h, KeyedList, setText } from "./dom.ts";
import { amountOf, brief, clock, count, price, short, sol, words } from "./format.ts";
import { tableOf } from "./panel-mints.ts";

/** Decimals that are taken where no trade tells: those that launchpads give their tokens. */
const USUAL_DIGITS = 6;
const SHOWN = 60;

type Line = { readonly trade: TradeAnswer } | { readonly finalUpTo: number };

export class TokenTrades {
  readonly element: HTMLElement;
  private readonly list: KeyedList<Line>;
  private readonly assumed = h("p", { class: "note", hidden: true });
  private digits = USUAL_DIGITS;

  constructor() {
    const { table, rows } = tableOf(["Time", "Side", "Price", "SOL", "Tokens", "User"]);
    table.classList.add("trades");
    setText(this.assumed, `Tokens are counted with ${USUAL_DIGITS} decimals, as launchpads give them: no trade tells.`);
    this.element = h("div", {}, table, this.assumed);
    this.list = new KeyedList<Line>(rows, keyOf, (line) => entry(line, () => this.digits));
  }

  show(trades: readonly TradeAnswer[], finalUpTo: number): void {
    const told = decimalsIn(trades);
    this.digits = told ?? USUAL_DIGITS;
    this.assumed.hidden = told !== null || trades.every(({ base_amount }) => base_amount === null);
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

/**
 * Decimals of a token, as its trades were priced: a price is SOL per whole token, so it, the lamports and the base units of a
 * swap leave one unknown. Of many swaps the middle one: a large swap has moved the price that it is told with. Null where no
 * trade has all three.
 */
export function decimalsIn(trades: readonly TradeAnswer[]): number | null {
  const found = trades.flatMap(({ price, base_amount, quote_amount }) => {
    const digits = Math.log10((Number(price) * LAMPORTS * Number(base_amount)) / Number(quote_amount));
    return Number.isFinite(digits) ? [digits] : [];
  });
  if (found.length === 0) return null;
  const middle = found.sort((a, b) => a - b)[Math.floor(found.length / 2)]!;
  return Math.max(0, Math.round(middle));
}

const LAMPORTS = 1e9;

function entry(line: Line, digits: () => number): Entry<Line> {
  if ("trade" in line) return tradeRow(line.trade, digits);
  const text = h("span");
  return {
    element: h("tr", { class: "final" }, h("td", { colspan: "6" }, text)),
    update: (now) => setText(text, "finalUpTo" in now ? `final up to slot ${count(now.finalUpTo)}` : ""),
  };
}

function tradeRow(trade: TradeAnswer, digits: () => number): Entry<Line> {
  const { is_buy, kind, time, quote_amount, base_amount, user, slot, signature } = trade;
  const side = is_buy === null ? words(kind) : is_buy ? "buy" : "sell";
  const tone = is_buy === null ? "" : is_buy ? "up" : "down";
  const tokens = h("td");
  const element = h(
    "tr",
    { title: `slot ${count(slot)}, ${words(kind)}, signature ${signature}` },
    h("td", {}, h("time", {}, clock(time))),
    h("td", { class: tone }, side),
    h("td", {}, price(trade.price)),
    h("td", {}, quote_amount === null ? "" : sol(quote_amount)),
    tokens,
    h("td", { class: "address" }, brief(user)),
  );
  const update = () => setText(tokens, base_amount === null ? "" : short(amountOf(base_amount, digits())));
  return { element, update };
}
