/**
 * Candles and volume of one token. Prices are drawn in lamports per token, because the chart's axis is not made for numbers
 * with ten zeros behind the point, and written in SOL. A line says up to where the candles are final.
 */
import type { CandlestickData, HistogramData, IChartApi, ISeriesApi, Logical, UTCTimestamp } from "lightweight-charts";
import type { CandleRow } from "./answers.ts";
import { newestOnly } from "./chart-change.ts";
import { h } from "./dom.ts";
import { price, sol } from "./format.ts";
import { THEME_CHANGED } from "./theme.ts";

type Library = typeof import("lightweight-charts");
/** Served from the package; loaded when the first chart is drawn. */
const LIBRARY: string = "./lightweight-charts.js";
const LAMPORTS = 1e9;
/** Of a chart that nobody has zoomed yet, pixels. */
const BAR_SPACING = 9;
/** Bars of empty room behind the newest. */
const RIGHT_OFFSET = 4;

export class TokenChart {
  readonly element: HTMLElement;
  private readonly finality = h("div", { class: "finality", hidden: true }, h("span", {}, "final"));
  private readonly legend = h("p", { class: "legend", "aria-live": "off" });
  private readonly canvas = h("div", { class: "canvas" });
  private parts: Drawn | null = null;
  private rows: readonly CandleRow[] = [];
  private finalTime: number | null = null;
  private seconds = 60;
  private isFitted = false;
  private isStopped = false;
  private readonly repaint = () => this.paint();

  constructor() {
    const label = "Candlestick chart of the price, with volume";
    this.element = h(
      "div",
      { class: "chart", role: "img", "aria-label": label },
      this.canvas,
      this.finality,
      this.legend,
    );
  }

  async start(): Promise<void> {
    const library = (await import(LIBRARY)) as Library;
    if (this.isStopped) return;
    this.parts = draw(library, this.canvas);
    const { chart } = this.parts;
    chart.timeScale().subscribeVisibleLogicalRangeChange(() => this.placeFinality());
    chart.timeScale().subscribeSizeChange(() => {
      this.fit();
      this.placeFinality();
    });
    chart.subscribeCrosshairMove(({ time }) => this.tell(this.rows.find((row) => row[0] === time)));
    document.addEventListener(THEME_CHANGED, this.repaint);
    this.paint();
    this.draw();
  }

  stop(): void {
    this.isStopped = true;
    document.removeEventListener(THEME_CHANGED, this.repaint);
    this.parts?.chart.remove();
    this.parts = null;
  }

  /** `seconds`: length of a candle. `finalTime`: candles that ended by then will not change. */
  show(rows: readonly CandleRow[], finalTime: number | null, seconds: number): void {
    const isSame = this.rows === rows && this.finalTime === finalTime;
    if (this.seconds !== seconds) this.isFitted = false;
    Object.assign(this, { rows, finalTime, seconds });
    if (!isSame) this.draw();
  }

  private draw(): void {
    const { parts, rows } = this;
    if (parts === null) return;
    // While only the newest candles change, they are put in place; the view stays where it is.
    const changed = newestOnly(parts.drawn, rows);
    if (changed === null) {
      parts.candles.setData(rows.map(candleOf));
      parts.volume.setData(rows.map((row) => volumeOf(row, parts.colors)));
    } else {
      for (const row of changed) {
        parts.candles.update(candleOf(row));
        parts.volume.update(volumeOf(row, parts.colors));
      }
    }
    parts.drawn = rows;
    this.fit();
    this.tell(undefined);
    this.placeFinality();
  }

  /** Shows the newest candles, once: from then on the view is the reader's. */
  private fit(): void {
    const scale = this.parts?.chart.timeScale();
    // Without a width, the library makes bars as narrow as can be.
    if (scale === undefined || this.isFitted || this.rows.length === 0 || scale.width() === 0) return;
    scale.applyOptions({ barSpacing: BAR_SPACING });
    scale.scrollToPosition(RIGHT_OFFSET, false);
    this.isFitted = true;
  }

  /** Between the last candle that will not change and the first that may. */
  private placeFinality(): void {
    const { parts, rows, finalTime, seconds } = this;
    if (parts === null || finalTime === null) return;
    const first = rows.findIndex((row) => row[0] + seconds > finalTime);
    const scale = parts.chart.timeScale();
    const center = first <= 0 ? null : scale.logicalToCoordinate(first as Logical);
    const at = center === null ? null : center - scale.options().barSpacing / 2;
    const isSeen = at !== null && at > 0 && at < scale.width();
    this.finality.hidden = !isSeen;
    if (isSeen) this.finality.style.left = `${at}px`;
  }

  /** The candle under the pointer, else the newest. */
  private tell(row: CandleRow | undefined): void {
    const shown = row ?? this.rows.at(-1);
    if (shown === undefined) {
      this.legend.replaceChildren();
      return;
    }
    const [, open, high, low, close, volume, trades] = shown;
    const change = open === 0 ? 0 : close / open - 1;
    const entries = [
      ["O", price(open)],
      ["H", price(high)],
      ["L", price(low)],
      ["C", price(close)],
      ["Vol", `${sol(String(volume * LAMPORTS))} SOL`],
      ["Trades", String(trades)],
    ];
    const sign = change < 0 ? "down" : "up";
    const changed = h("b", { class: sign }, `${change < 0 ? "" : "+"}${(change * 100).toFixed(2)}%`);
    this.legend.replaceChildren(...entries.map(([name, value]) => h("span", {}, h("i", {}, name!), value!)), changed);
  }

  private paint(): void {
    const { parts } = this;
    if (parts === null) return;
    parts.colors = colorsOf(this.element);
    const { text, line, up, down, background } = parts.colors;
    parts.chart.applyOptions({
      layout: { background: { color: background }, textColor: text },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      timeScale: { borderColor: line },
      rightPriceScale: { borderColor: line },
    });
    const body = { upColor: up, borderUpColor: up, wickUpColor: up };
    parts.candles.applyOptions({ ...body, downColor: down, borderDownColor: down, wickDownColor: down });
    parts.volume.setData(parts.drawn.map((row) => volumeOf(row, parts.colors)));
  }
}

interface Drawn {
  readonly chart: IChartApi;
  readonly candles: ISeriesApi<"Candlestick">;
  readonly volume: ISeriesApi<"Histogram">;
  drawn: readonly CandleRow[];
  colors: Colors;
}

interface Colors {
  readonly text: string;
  readonly line: string;
  readonly up: string;
  readonly down: string;
  readonly background: string;
}

function draw({ createChart, CandlestickSeries, HistogramSeries, CrosshairMode }: Library, canvas: HTMLElement): Drawn {
  const chart = createChart(canvas, {
    autoSize: true,
    // The attribution is in the page's footer: the library's own logo comes with a style element, which the page's policy refuses.
    layout: { attributionLogo: false, fontFamily: "inherit", fontSize: 11 },
    crosshair: { mode: CrosshairMode.Normal },
    timeScale: { timeVisible: true, secondsVisible: true, rightOffset: RIGHT_OFFSET, barSpacing: BAR_SPACING },
    rightPriceScale: { scaleMargins: { top: 0.12, bottom: 0.24 } },
    localization: { locale: "en-GB" },
  });
  const candles = chart.addSeries(CandlestickSeries, {
    priceFormat: { type: "custom", minMove: 1e-6, formatter: priceLabel },
  });
  const volume = chart.addSeries(HistogramSeries, {
    ...{ priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false },
  });
  volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  return { chart, candles, volume, drawn: [], colors: colorsOf(canvas) };
}

/** The axis goes on below zero where prices lie near it: there is no such price. */
function priceLabel(lamports: number): string {
  return lamports < 0 ? "" : price(lamports / LAMPORTS);
}

/** As the canvas can read them: "rgb(r, g, b)". */
function colorsOf(element: HTMLElement): Colors {
  const probe = h("i", { hidden: true });
  element.append(probe);
  const of = (name: string) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const colors = {
    text: of("--dim"),
    line: of("--grid"),
    up: of("--up"),
    down: of("--down"),
    background: of("--surface"),
  };
  probe.remove();
  return colors;
}

function candleOf([time, open, high, low, close]: CandleRow): CandlestickData<UTCTimestamp> {
  const [o, h, l, c] = [open * LAMPORTS, high * LAMPORTS, low * LAMPORTS, close * LAMPORTS];
  return { time: time as UTCTimestamp, open: o, high: h, low: l, close: c };
}

function volumeOf([time, open, , , close, volume]: CandleRow, { up, down }: Colors): HistogramData<UTCTimestamp> {
  return { time: time as UTCTimestamp, value: volume, color: faint(close < open ? down : up) };
}

function faint(color: string): string {
  return color.replace(/^rgb\((.*)\)$/, "rgba($1, 0.4)");
}
