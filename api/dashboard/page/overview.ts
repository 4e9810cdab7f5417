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
  const side = (className: string, ...panels: readonly Part[]) => group(h("div", { class: className }), panels);
  return side(
    "overview",
    figuresPanel(store),
    pipelinePanel(store),
    side("columns", hotPanel(store), newPanel(store)),
    side(
      "columns",
      side("stack-of-two", decodersPanel(store), errorsPanel(store)),
      lakePanel(store),
      quarantinePanel(store),
    ),
    healthPanel(store),
  );
}
