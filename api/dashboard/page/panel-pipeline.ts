/** The pipeline as a picture: what each part does now, where blocks flow, and which part holds the others back. */
import { h, setAttribute, setText } from "./dom.ts";
import { count, rate } from "./format.ts";
import { type Part as Panel, panel, sentence } from "./panel.ts";
import { type Part, type PartName, partsOf, sourceTrouble } from "./pipeline-model.ts";
import type { Store } from "./store.ts";

const NAMES: Readonly<Record<PartName, string>> = {
  source: "Source",
  ingest: "Ingest",
  decode: "Decode",
  shard: "Shard",
  lane: "Lanes",
  hot: "Hot store",
  archive: "Archive",
  lake: "Lake",
};
const HINTS: Readonly<Record<PartName, string>> = {
  source: "the Substreams provider",
  ingest: "takes blocks from the provider and keeps their bytes",
  decode: "bytes to typed rows",
  shard: "rows by token",
  lane: "state, candles and undo, in one transaction",
  hot: "SQLite: what this API answers from",
  archive: "final blocks to sorted Parquet",
  lake: "Parquet and its manifest: the durable copy",
};
const ORDER = Object.keys(NAMES) as PartName[];

export function pipelinePanel(store: Store): Panel {
  const { pipeline } = store;
  const boxes = new Map(ORDER.map((name) => [name, box(name)]));
  const picture = h("ol", { class: "picture" }, ...[...boxes.values()].map(({ element }) => element));
  const sources = sourceChoice(store);
  const limiter = h("p", { class: "limiter", role: "status" });
  const part = panel({
    title: "Pipeline",
    resource: pipeline,
    className: "pipeline",
    body: picture,
    aside: h("div", { class: "aside" }, limiter, sources.element),
    show({ answer, samples }) {
      for (const part of partsOf(answer, samples)) boxes.get(part.name)!.update(part);
      const { stage, unit, reason } = answer.limiter;
      const remedy = answer.units.length === 0 ? ". `sluice stages` starts them." : "";
      const trouble = stage === "source" ? sourceTrouble(answer, Date.now()) : null;
      const limited = stage === "none" ? sentence(reason) + remedy : `Limited by ${unit ?? stage}: ${reason}`;
      setText(limiter, trouble ?? limited);
      setAttribute(limiter, "data-limited", String(trouble !== null || (stage !== "none" && stage !== "source")));
    },
  });
  const stop = () => {
    sources.stop();
    part.stop();
  };
  return { element: part.element, stop };
}

/** Shown where there are several sources. */
function sourceChoice(store: Store): Panel {
  const element = h("select", { "aria-label": "Source", hidden: true });
  element.addEventListener("change", () => store.showSource(element.value));
  const stop = store.status.watch(() => {
    const names = (store.status.current.data?.sources ?? []).map(({ source }) => source);
    element.hidden = names.length < 2;
    if (names.length === element.options.length) return;
    element.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
  });
  return { element, stop };
}

function box(name: PartName) {
  const state = h("span", { class: "state" });
  const speed = h("span", { class: "speed" });
  const lag = h("span", { class: "lag" });
  const units = h("span", { class: "units" });
  const fill = h("i");
  const meter = h("span", { class: "meter", role: "meter", "aria-valuemin": "0", "aria-valuemax": "100" }, fill);
  const title = h("h3", {}, NAMES[name], units);
  const element = h("li", { class: `part part-${name}`, title: HINTS[name] }, title, state, speed, lag, meter);
  return {
    element,
    update(part: Part) {
      setAttribute(element, "data-mood", part.mood);
      // Waiting for the chain is how it should be; a stage that holds the others back is not.
      const isAsItShould = name === "source" && part.mood !== "trouble";
      setAttribute(element, "data-limits", part.limits ? (isAsItShould ? "source" : "stage") : null);
      setAttribute(element, "data-flows", (part.blocksPerSecond ?? 0) > 0 ? "true" : null);
      setText(units, part.units > 1 ? ` × ${part.units}` : "");
      setText(state, part.state);
      setText(speed, part.blocksPerSecond === null ? part.detail : `${rate(part.blocksPerSecond)} blocks/s`);
      setText(lag, part.lagBlocks === null || name === "ingest" ? "" : lagText(part.lagBlocks));
      meter.hidden = part.busy === null;
      const busy = Math.round((part.busy ?? 0) * 100);
      setAttribute(meter, "aria-valuenow", String(busy));
      setAttribute(meter, "aria-label", `${NAMES[name]} is at work ${busy}% of the time`);
      meter.title = `at work ${busy}% of the time`;
      fill.style.width = `${busy}%`;
    },
  };
}

function lagText(blocks: number): string {
  return blocks === 0 ? "in step" : `${count(blocks)} behind`;
}
