/** An event compiled: its dataset, and the layout that fits a payload. */
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { eventDataset } from "../../pipeline/datasets/event.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { type AddressSource, addressSource, isOutside, pairSource } from "./address-source.ts";
import { unionOfColumns } from "./dataset-columns.ts";
import { type DatasetHealth, emptyDatasetHealth } from "./health.ts";
import { Layout } from "./layout.ts";
import { type CompiledLayout, LayoutChoice, leavesOfColumns } from "./layout-choice.ts";
import { requireIdentifier } from "./names.ts";
import { datasetName, type EventForm, type EventSpec, type MintRule, type ProgramSpec } from "./program.ts";
import { requireOptional, tradeWriter } from "./trade-mapping.ts";

export class EventDecoder extends LayoutChoice {
  readonly name: string;
  readonly dataset: DatasetSpec;
  /** Some layout names the token it belongs to. */
  readonly hasMint: boolean;
  /** Its trades are an aggregator's report of swaps that pools may report, too. */
  readonly isAggregator: boolean;
  /** How decoding it has fared. */
  readonly health: DatasetHealth = emptyDatasetHealth();
  /** It is a list, each element of which is a row. */
  readonly isList: boolean;

  /** `form`: the event itself, or one of those that say the same. */
  constructor(program: ProgramSpec, spec: EventSpec, form: EventForm = spec) {
    const where = `${program.name}.${form.name}`;
    const rule = spec.mintField === undefined ? program.mintField : (spec.mintField ?? undefined);
    const forms = [spec, ...(spec.also ?? [])].map((each) => ({
      each,
      layouts: each.layouts.map((fields) => new Layout(fields)),
    }));
    const layouts = forms.flatMap((of) => of.layouts);
    const own = forms.find(({ each }) => each === form)!.layouts;
    if (own.length === 0 || (form.list === true && own.some(({ size }) => size === null))) throw noLayout(where);
    // The program's mint field is a default that an event may lack; one that is named for the event must be there.
    if (typeof spec.mintField === "string" && !isOutside(spec.mintField) && !hasField(layouts, spec.mintField)) {
      throw noMint(spec.mintField, where);
    }
    if (spec.trade !== undefined) requireOptional(spec.trade, layouts, where);
    const dataset = datasetOf(spec, layouts, typeof rule === "string" ? rule : undefined, where);
    const compiled = own.map((layout): CompiledLayout => {
      const claimed = typeof rule === "string" ? layout.indexOf(rule) : -1;
      return {
        layout,
        mint: mintSource(rule, layout, where),
        leafOfColumn: leavesOfColumns(layout, dataset, claimed),
        trade: spec.trade === undefined ? null : tradeWriter(layout, spec.trade, dataset.name, where),
      };
    });
    super(compiled);
    this.name = form.name;
    this.isList = form.list === true;
    this.dataset = dataset;
    this.hasMint = compiled.some(({ mint }) => mint !== null);
    this.isAggregator = spec.trade !== undefined && "input" in spec.trade && spec.trade.venue !== undefined;
  }
}

/** Null when this layout has none of what the rule names. */
export function mintSource(rule: MintRule | undefined, layout: Layout, where: string): AddressSource | null {
  if (rule === undefined) return null;
  if (typeof rule !== "string") {
    return pairSource(addressSource(rule[0], layout, where), addressSource(rule[1], layout, where));
  }
  const index = layout.indexOf(rule);
  if (!isOutside(rule) && index < 0) return null;
  if (index >= 0 && layout.leaves[index]!.column.type !== "bytes32") {
    throw new Fatal("EVENT_MINT", `the mint field ${rule} is not an address`, { where, hint: "Name another field." });
  }
  return addressSource(rule, layout, where);
}

function datasetOf(spec: EventSpec, layouts: readonly Layout[], claimed: string | undefined, where: string) {
  const dataset = eventDataset({
    name: requireIdentifier(datasetName(spec), "dataset", where),
    version: spec.version ?? 1,
    doc: spec.doc ?? `Events ${spec.name}.`,
    fields: unionOfColumns(layouts, claimed, where),
  });
  if (claimed === undefined) return dataset;
  const field = layouts.flatMap((layout) => layout.leaves[layout.indexOf(claimed)]?.path ?? [])[0];
  if (field === undefined || field === "mint") return dataset;
  return { ...dataset, columns: dataset.columns.map((c) => (c.name === "mint" ? { ...c, field } : c)) };
}

function hasField(layouts: readonly Layout[], path: string): boolean {
  return layouts.some((layout) => layout.indexOf(path) >= 0);
}

function noLayout(where: string): Fatal {
  return new Fatal("EVENT_LAYOUT", "the event has no layout, or is a list of elements without a fixed size", {
    where,
    hint: "Give at least one list of fields.",
  });
}

export function noMint(field: string, where: string): Fatal {
  return new Fatal("EVENT_MINT", `no layout has the mint field ${field}`, {
    where,
    hint: "Name a field of the event, or accounts.NAME of the instruction; `sluice idl check` lists an IDL's fields.",
  });
}
