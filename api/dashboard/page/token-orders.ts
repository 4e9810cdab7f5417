/**
 * Open margin orders around the price, as a ladder: shorts lock a range above it ("up"), longs one below it ("down"). The
 * bar behind a row is the SOL that the range holds.
 */
import type { Listed, OrderAnswer } from "./answers.ts";
import { type Entry, h, KeyedList, setText } from "./dom.ts";
import { amountOf, brief, dateTime, price, sol } from "./format.ts";

/** Nearest to the price, of each side. */
export const ORDERS_SHOWN = 12;

export interface Orders {
  readonly up: Listed<OrderAnswer>;
  readonly down: Listed<OrderAnswer>;
}

type Rung = { readonly order: OrderAnswer; readonly share: number } | { readonly price: string | null };

export class TokenOrders {
  readonly element: HTMLElement;
  private readonly rungs: KeyedList<Rung>;
  private readonly more = h("p", { class: "note" });

  constructor() {
    const rows = h("ol", { class: "ladder", "aria-label": "Open orders around the price" });
    const head = h("div", { class: "rung head", "aria-hidden": "true" });
    head.append(...["Side", "From", "To", "SOL", "Margin", "Owner"].map((name) => h("span", {}, name)));
    this.element = h("div", {}, head, rows, this.more);
    this.rungs = new KeyedList<Rung>(rows, (rung) => ("order" in rung ? rung.order.order : "price"), entry);
  }

  show({ up, down }: Orders, now: string | null): void {
    const all = [...up.data, ...down.data];
    const highest = Math.max(1, ...all.map(({ locked_sol }) => Number(locked_sol)));
    const rung = (order: OrderAnswer) => ({ order, share: Number(order.locked_sol) / highest });
    this.rungs.show([...up.data.map(rung).reverse(), { price: now }, ...down.data.map(rung)]);
    const cut = [up.next_cursor === null ? null : "shorts", down.next_cursor === null ? null : "longs"];
    const which = cut.filter((side) => side !== null).join(" and ");
    setText(this.more, which === "" ? "" : `There are more ${which} further away.`);
  }
}

function entry(rung: Rung): Entry<Rung> {
  if (!("order" in rung)) {
    const text = h("strong");
    const element = h("li", { class: "now" }, h("span", {}, "price"), text);
    return { element, update: (now) => setText(text, "price" in now && now.price !== null ? price(now.price) : "–") };
  }
  const { side, start_price, end_price, locked_sol, margin_sol, user, due_at, order } = rung.order;
  const isUp = side === "short";
  const bar = h("i");
  const [from, to, locked, margin] = [h("span"), h("span"), h("span"), h("span")];
  const element = h(
    "li",
    { class: `rung ${isUp ? "is-up" : "is-down"}`, title: `order ${order}, due ${dateTime(due_at)}` },
    bar,
    h("span", { class: isUp ? "down" : "up" }, isUp ? "↑ short" : "↓ long"),
    ...[from, to, locked, margin],
    h("span", { class: "address" }, brief(user)),
  );
  setText(from, price(start_price));
  setText(to, price(end_price));
  setText(locked, sol(locked_sol));
  setText(margin, sol(margin_sol));
  return {
    element,
    update(now) {
      if (!("order" in now)) return;
      setText(locked, sol(now.order.locked_sol));
      setText(margin, sol(now.order.margin_sol));
      bar.style.width = `${Math.max(1, now.share * 100)}%`;
      element.ariaLabel = `${side}, ${amountOf(now.order.locked_sol).toFixed(2)} SOL from ${price(start_price)}`;
    },
  };
}
