/** Tokens that trade most now, and tokens that have just appeared. */
import type { MintAnswer, RankedAnswer } from "./answers.ts";
import { type Entry, h, KeyedList, setAttribute, setText } from "./dom.ts";
import { ago, brief, price, short, sol } from "./format.ts";
import { type Part, panel } from "./panel.ts";
import type { Store } from "./store.ts";

export function hotPanel({ hot }: Store): Part {
  const { table, rows } = tableOf(["Token", "Price, SOL", "Trades 1h", "Volume 24h"]);
  const list = new KeyedList<RankedAnswer>(rows, ({ mint }) => mint, row(hotCells));
  return panel({
    title: "Hot tokens",
    resource: hot,
    body: table,
    className: "mints",
    show: ({ data }) => list.show(data),
    empty: ({ data }) => (data.length === 0 ? "No token has traded yet." : null),
  });
}

/** The live feed says when there is a new one: then the list is read again. */
export function newPanel({ recent, live }: Store): Part {
  const { table, rows } = tableOf(["Token", "Price, SOL", "Volume", "Age"]);
  let now = 0;
  const list = new KeyedList<MintAnswer>(rows, ({ mint }) => mint, row(newCells(() => now)));
  const unfollow = live.follow(["mints"], ({ type }) => {
    if (type === "mint" || type === "undo" || type === "reset") recent.outdate();
  });
  const part = panel({
    title: "New tokens",
    resource: recent,
    body: table,
    className: "mints",
    show({ data }) {
      now = newestTime(data);
      list.show(data);
    },
    empty: ({ data }) => (data.length === 0 ? "No token has been seen yet." : null),
  });
  const stop = () => {
    unfollow();
    part.stop();
  };
  return { element: part.element, stop };
}

type Cells<T> = (mint: T) => [price: string, second: string, third: string];

const hotCells: Cells<RankedAnswer> = (mint) => [
  mint.price === null ? "–" : price(mint.price),
  short(mint.trades_1h),
  sol(mint.volume_24h),
];

const newCells =
  (now: () => number): Cells<MintAnswer> =>
  (mint) => [
    mint.price === null ? "–" : price(mint.price),
    sol(mint.total_sol_amount),
    mint.created_at === null ? "–" : ago(now() - mint.created_at),
  ];

/** Ages count from now; from the newest token, where a chain's clock is ahead of ours, as a simulated one may be. */
function newestTime(mints: readonly MintAnswer[]): number {
  return Math.max(Date.now() / 1000, ...mints.map(({ created_at }) => created_at ?? 0));
}

function row<T extends MintAnswer>(cells: Cells<T>) {
  return (mint: T): Entry<T> => {
    const link = h("a", { href: `#/token/${mint.mint}` });
    const address = h("span", { class: "address" }, brief(mint.mint));
    const values = [0, 1, 2].map(() => h("td"));
    const element = h("tr", {}, h("th", { scope: "row" }, link, address), ...values);
    return {
      element,
      update(now) {
        setText(link, titleOf(now));
        setAttribute(link, "title", now.name ?? now.mint);
        const texts = cells(now);
        values.forEach((cell, i) => {
          setText(cell, texts[i]!);
        });
      },
    };
  };
}

/** The symbol, else the name, else that there is none: both are texts of strangers, so they are cut. */
export function titleOf({ symbol, name }: Pick<MintAnswer, "symbol" | "name">): string {
  const text = symbol?.trim() || name?.trim() || "unnamed";
  return text.length > 14 ? `${text.slice(0, 13)}…` : text;
}

export function tableOf(columns: readonly string[]) {
  const rows = h("tbody");
  const head = h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)));
  const table = h("div", { class: "scroll" }, h("table", {}, h("thead", {}, head), rows));
  return { table, rows };
}
