/** One token: price, chart, trades, orders. The state is read, then kept up by the live feed; without it, read every moment. */
import type { CandlesAnswer, Listed, MintAnswer, One, OrderAnswer, TradeAnswer } from "./answers.ts";
import { h, setText } from "./dom.ts";
import { dateTime, price, sol } from "./format.ts";
import type { LiveMessage } from "./live.ts";
import { group, type Part, panel } from "./panel.ts";
import { titleOf } from "./panel-mints.ts";
import { Resource } from "./resource.ts";
import { get } from "./server.ts";
import type { Store } from "./store.ts";
import { TokenChart } from "./token-chart.ts";
import { ORDERS_SHOWN, type Orders, TokenOrders } from "./token-orders.ts";
import { TokenState, TRADES_MAX } from "./token-state.ts";
import { TokenTrades } from "./token-trades.ts";

/** Length of a candle by the API's name for it, seconds. */
const INTERVALS = { s1: 1, s30: 30, m1: 60, m5: 300, m15: 900, h1: 3_600, h4: 14_400, d1: 86_400 } as const;
type Interval = keyof typeof INTERVALS;
const LABELS: Readonly<Record<Interval, string>> = {
  ...{ s1: "1s", s30: "30s", m1: "1m", m5: "5m", m15: "15m", h1: "1h", h4: "4h", d1: "1d" },
};
const INTERVAL_KEY = "sluice.interval";
const CANDLES_READ = 500;
/** While the feed tells what happens, that is only checked now and then. */
const READ_MS = 2_000;
const CHECK_MS = 15_000;

export function tokenView(store: Store, mint: string): Part {
  let interval = chosenInterval();
  let state = new TokenState(mint, interval);
  const chart = new TokenChart();
  const trades = new TokenTrades();
  const orders = new TokenOrders();
  const path = `/v1/mints/${mint}`;

  const isTold = () => store.live.tellsFrom(state.headSlot);
  const details = reading<One<MintAnswer>>(isTold, (signal) => get(path, signal));
  const tape = reading(isTold, async (signal) => {
    const current = state;
    // In this order: a candle that is read later has every trade that was read before.
    current.takeTrades(await get<Listed<TradeAnswer>>(`${path}/trades?limit=${TRADES_MAX}`, signal));
    const query = `interval=${current.interval}&countback=${CANDLES_READ}`;
    current.takeCandles(await get<One<CandlesAnswer>>(`/v1/candles/${mint}?${query}`, signal));
    return current.trades;
  });
  const book = reading<Orders>(isTold, async (signal) => {
    const side = (name: string) =>
      get<Listed<OrderAnswer>>(`${path}/orders?side=${name}&limit=${ORDERS_SHOWN}`, signal);
    const [up, down] = await Promise.all([side("short"), side("long")]);
    return { up, down };
  });

  const head = headPart(details, mint);
  // One price everywhere: that of the newest trade that is known.
  const priceNow = () => state.trades[0]?.price ?? details.current.data?.data.price ?? null;
  const draw = () => {
    chart.show(state.candles, state.finalTime, INTERVALS[interval]);
    trades.show(state.trades, state.finalUpTo);
    drawOrders();
  };
  const drawOrders = () => {
    head.showPrice(priceNow());
    const held = book.current.data;
    if (held !== null) orders.show(held, priceNow());
  };
  const hear = (message: LiveMessage) => {
    if (message.type === "subscribed" || message.type === "reset") for (const r of [tape, book, details]) r.refresh();
    if (message.type === "event" && message.event.mint === mint) for (const r of [book, details]) r.outdate();
    if (message.type === "undo") book.outdate();
    if (state.apply(message)) draw();
  };
  const topics = () => [`trades:${mint}`, `events:${mint}`, `candles:${mint}:${interval}`];
  let unfollow = store.live.follow(topics(), hear);
  const intervals = intervalButtons(interval, (chosen) => {
    interval = chosen;
    state = new TokenState(mint, interval);
    unfollow();
    unfollow = store.live.follow(topics(), hear);
    tape.refresh();
  });

  const parts = [
    head,
    panel({
      title: "Price",
      resource: tape,
      body: chart.element,
      show: draw,
      aside: intervals,
      className: "price",
      empty: nothing,
    }),
    group(h("div", { class: "columns" }), [
      panel({ title: "Trades", resource: tape, body: trades.element, show: draw, className: "tape", empty: nothing }),
      panel({
        title: "Orders",
        resource: book,
        body: orders.element,
        show: drawOrders,
        className: "tape",
        empty: noOrders,
      }),
    ]),
  ];
  void chart.start();
  const view = group(h("div", { class: "token" }), parts);
  const stop = () => {
    unfollow();
    chart.stop();
    view.stop();
  };
  return { element: view.element, stop };
}

const nothing = (trades: readonly TradeAnswer[]) => (trades.length === 0 ? "This token has not traded yet." : null);
const noOrders = ({ up, down }: Orders) => (up.data.length + down.data.length === 0 ? "No order is open." : null);

/** Read often while nobody tells. */
function reading<T>(isTold: () => boolean, load: (signal: AbortSignal) => Promise<T>): Resource<T> {
  return new Resource<T>({ load, everyMs: () => (isTold() ? CHECK_MS : READ_MS) });
}

interface HeadPart extends Part {
  showPrice(now: string | null): void;
}

function headPart(details: Resource<One<MintAnswer>>, mint: string): HeadPart {
  const symbol = h("h1");
  const name = h("p", { class: "note" });
  const now = h("strong", { class: "now" });
  const copy = h("button", { type: "button", class: "link address", title: "Copy the address" }, mint);
  copy.addEventListener("click", () => void navigator.clipboard?.writeText(mint));
  const facts = h("dl", { class: "facts" });
  const cells = FACTS.map(([title, text]) => {
    const value = h("dd");
    facts.append(h("div", {}, h("dt", {}, title), value));
    return { value, text };
  });
  const title = h("div", { class: "title" }, h("div", {}, symbol, name), now);
  const body = h("div", { class: "token-head" }, title, copy, facts);
  const showPrice = (value: string | null) => setText(now, value === null ? "–" : `${price(value)} SOL`);
  const part = panel({
    title: "Token",
    resource: details,
    body,
    className: "bare",
    show({ data }) {
      setText(symbol, titleOf(data));
      setText(name, data.name ?? "");
      if (now.textContent === "") showPrice(data.price);
      document.title = `${titleOf(data)} · Sluice`;
      for (const { value, text } of cells) setText(value, text(data));
    },
  });
  return { ...part, showPrice };
}

const FACTS: readonly (readonly [title: string, text: (mint: MintAnswer) => string])[] = [
  ["Traded", (m) => `${sol(m.total_sol_amount)} SOL`],
  ["Margin", (m) => `${sol(m.total_margin_sol_amount)} SOL`],
  ["Liquidations", (m) => m.total_force_liquidations],
  ["Close profit", (m) => `${sol(m.total_close_profit)} SOL`],
  ["Swap fee", (m) => (m.swap_fee === null ? "–" : `${m.swap_fee / 1_000}%`)],
  ["Created", (m) => (m.created_at === null ? "–" : dateTime(m.created_at))],
];

function chosenInterval(): Interval {
  const kept = localStorage.getItem(INTERVAL_KEY);
  return (Object.keys(INTERVALS) as Interval[]).find((name) => name === kept) ?? "s1";
}

function intervalButtons(chosen: Interval, choose: (interval: Interval) => void): HTMLElement {
  const buttons = (Object.keys(INTERVALS) as Interval[]).map((name) => {
    const button = h("button", { type: "button", "aria-pressed": String(name === chosen) }, LABELS[name]);
    button.addEventListener("click", () => {
      for (const other of buttons) other.ariaPressed = String(other === button);
      localStorage.setItem(INTERVAL_KEY, name);
      choose(name);
    });
    return button;
  });
  return h("div", { class: "segments", role: "group", "aria-label": "Length of a candle" }, ...buttons);
}
