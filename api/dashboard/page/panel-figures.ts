/** What one wants to know first: how fast, how far behind, how final. */
import { h, setAttribute, setText } from "./dom.ts";
import { count, duration, rate } from "./format.ts";
import type { Part } from "./panel.ts";
import { Sparkline } from "./sparkline.ts";
import type { PipelineNow, Store } from "./store.ts";

const CURVE_SLOTS = 120;

interface Figure {
  readonly name: string;
  readonly text: (now: PipelineNow) => string;
  /** Under the number. */
  readonly note?: (now: PipelineNow) => string;
  readonly curve?: (figures: PipelineNow["history"][number]) => number | null;
}

const FIGURES: readonly Figure[] = [
  {
    name: "Blocks/s",
    text: ({ figures }) => rate(figures.blocksPerSecond),
    curve: (figures) => figures.blocksPerSecond,
  },
  {
    name: "Events/s",
    text: ({ figures }) => rate(figures.eventsPerSecond),
    curve: (figures) => figures.eventsPerSecond,
  },
  {
    name: "Behind now",
    text: ({ figures }) => (figures.headSeconds === null ? "–" : duration(figures.headSeconds)),
    curve: (figures) => figures.headSeconds,
  },
  {
    name: "Block",
    text: ({ answer }) => (answer.lastBlock === 0 ? "–" : count(answer.lastBlock)),
    note: ({ answer }) => `${count(answer.totalBlocks)} since start`,
  },
  {
    name: "Final up to",
    text: ({ figures }) => (figures.finalSlot === 0 ? "–" : count(figures.finalSlot)),
    note: ({ answer, figures }) =>
      figures.finalSlot === 0 || answer.lastBlock < figures.finalSlot
        ? "everything held"
        : `${count(answer.lastBlock - figures.finalSlot)} to go`,
  },
  {
    name: "Uptime",
    text: ({ answer }) => (answer.running ? duration(answer.uptime / 1000) : "–"),
    note: ({ answer }) => `${answer.nodes.length} ${answer.nodes.length === 1 ? "process" : "processes"}`,
  },
];

export function figuresPanel({ pipeline }: Store): Part {
  const cells = FIGURES.map((figure) => {
    const value = h("dd", {}, "–");
    const note = h("dd", { class: "note" });
    const curve = figure.curve === undefined ? null : new Sparkline(CURVE_SLOTS);
    const element = h("div", {}, h("dt", {}, figure.name), value, curve?.element ?? note);
    return { figure, element, value, note, curve };
  });
  const element = h("dl", { class: "figures", "aria-label": "Key figures" }, ...cells.map((cell) => cell.element));
  const stop = pipeline.watch(() => {
    setAttribute(element, "data-state", pipeline.freshness);
    const { data } = pipeline.current;
    if (data === null) return;
    for (const { figure, value, note, curve } of cells) {
      setText(value, figure.text(data));
      setText(note, figure.note?.(data) ?? "");
      if (figure.curve !== undefined) curve?.show(data.history.map(figure.curve));
    }
  });
  return { element, stop };
}
