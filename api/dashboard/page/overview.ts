/** The first view: the pipeline, and what goes through it. */
import { h } from "./dom.ts";
import { group, type Part } from "./panel.ts";
import { decodersPanel } from "./panel-decoders.ts";
import { figuresPanel } from "./panel-figures.ts";
import { errorsPanel, healthPanel } from "./panel-health.ts";
import { lakePanel } from "./panel-lake.ts";
import { hotPanel, newPanel } from "./panel-mints.ts";
import { pipelinePanel } from "./panel-pipeline.ts";
import { quarantinePanel } from "./panel-quarantine.ts";
import type { Store } from "./store.ts";

export function overview(store: Store): Part {
  const columns = (...panels: ((store: Store) => Part)[]) =>
    group(
      h("div", { class: "columns" }),
      panels.map((make) => make(store)),
    );
  return group(h("div", { class: "overview" }), [
    figuresPanel(store),
    pipelinePanel(store),
    columns(hotPanel, newPanel),
    columns(decodersPanel, lakePanel, quarantinePanel),
    columns(healthPanel, errorsPanel),
  ]);
}
