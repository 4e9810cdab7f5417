/** Programs compiled: discriminator to event, event to the layout that fits a payload, layout to columns. */
import { createHash } from "node:crypto";
import type { ColumnSpec, DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { EVENT_COLUMNS, eventDataset } from "../../pipeline/datasets/event.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { BAD_VALUE, TOO_SHORT } from "./borsh.ts";
import { Layout, type Leaf } from "./layout.ts";
import { requireIdentifier } from "./names.ts";
import { datasetName, type EventName, type EventSpec, type ProgramSpec } from "./program.ts";
import { parseAddress } from "./program-set.ts";
import { LayoutTrade } from "./trade-mapping.ts";

export const DISCRIMINATOR_BYTES = 8;

/** One layout of an event and where its values go. */
export interface CompiledLayout {
  readonly layout: Layout;
  /** Leaf that holds the mint, or -1. */
  readonly mint: number;
  /** For each column of the dataset after the common ones: its leaf, or -1 when this layout lacks it. */
  readonly leafOfColumn: readonly number[];
  readonly trade: LayoutTrade | null;
}

export class EventDecoder {
  readonly name: string;
  readonly dataset: DatasetSpec;
  /** Some layout names the token it belongs to. */
  readonly hasMint: boolean;
  /** Bytes that the layout chosen last left unread. */
  leftOver = 0;
  private readonly layouts: readonly CompiledLayout[];

  constructor(program: ProgramSpec, spec: EventSpec) {
    const where = `${program.name}.${spec.name}`;
    this.name = spec.name;
    const mintField = spec.mintField === undefined ? program.mintField : (spec.mintField ?? undefined);
    const layouts = spec.layouts.map((fields) => new Layout(fields));
    if (layouts.length === 0) throw noLayout(where);
    // The program's mint field is a default that an event may lack; one that is named for the event must be there.
    if (typeof spec.mintField === "string" && !hasField(layouts, spec.mintField)) throw noMint(spec.mintField, where);
    this.dataset = datasetOf(spec, layouts, mintField, where);
    this.layouts = layouts.map((layout) => compileLayout(layout, this.dataset, spec, mintField, where));
    this.hasMint = this.layouts.some((layout) => layout.mint >= 0);
  }

  /**
   * The layout of the payload `bytes[start, end)` (without discriminator), its leaves located. A layout that ends with the
   * payload wins; otherwise the one that reads furthest, and `leftOver` says how much it leaves: fields were appended
   * on chain. Without any, the answer is TOO_SHORT for every layout, or BAD_VALUE.
   */
  choose(bytes: Uint8Array, start: number, end: number): CompiledLayout | typeof TOO_SHORT | typeof BAD_VALUE {
    let best: CompiledLayout | null = null;
    let bestEnd = -1;
    let failure: typeof TOO_SHORT | typeof BAD_VALUE = TOO_SHORT;
    for (const candidate of this.layouts) {
      const reached = candidate.layout.locate(bytes, start, end);
      if (reached === BAD_VALUE) failure = BAD_VALUE;
      if (reached <= bestEnd) continue;
      best = candidate;
      bestEnd = reached;
      if (reached === end) break;
    }
    if (best === null) return failure;
    this.leftOver = end - bestEnd;
    return best;
  }
}

/** What a discriminator stands for: a decoder, or an event that is known but not wanted. */
interface Entry {
  readonly high: number;
  readonly name: string;
  readonly decoder: EventDecoder | null;
}

export class ProgramDecoder {
  readonly name: string;
  readonly id: Uint8Array;
  readonly events: readonly EventDecoder[];
  /** By the first four bytes of the discriminator; nearly always one entry. */
  private readonly entries = new Map<number, Entry[]>();

  constructor(spec: ProgramSpec) {
    this.name = spec.name;
    this.id = parseAddress(spec.programId, `program ${spec.name}`);
    this.events = spec.events.map((event) => {
      const decoder = new EventDecoder(spec, event);
      this.enter(event, decoder);
      return decoder;
    });
    for (const event of spec.unwanted ?? []) this.enter(event, null);
    const { mintField } = spec;
    const isUsed = spec.events.some((event, i) => event.mintField === undefined && this.events[i]!.hasMint);
    if (mintField !== undefined && !isUsed) throw noMint(mintField, `program ${spec.name}`);
  }

  /** The decoder for the eight bytes at `at`; null for an unwanted event, undefined for an unknown one. */
  find(bytes: Uint8Array, at: number): EventDecoder | null | undefined {
    const entries = this.entries.get(word(bytes, at));
    if (entries === undefined) return undefined;
    const high = word(bytes, at + 4);
    for (const entry of entries) if (entry.high === high) return entry.decoder;
    return undefined;
  }

  private enter(event: EventName, decoder: EventDecoder | null): void {
    const bytes = discriminatorOf(event, this.name);
    const low = word(bytes, 0);
    const high = word(bytes, 4);
    const entries = this.entries.get(low) ?? [];
    const other = entries.find((entry) => entry.high === high);
    if (other !== undefined) {
      throw new Fatal("EVENT_DISCRIMINATOR", `${event.name} and ${other.name} have the same discriminator`, {
        where: `program ${this.name}`,
        hint: "Give the layouts of one event in one place.",
      });
    }
    entries.push({ high, name: event.name, decoder });
    this.entries.set(low, entries);
  }
}

/** Anchor's rule: the first eight bytes of sha256("event:" + name), unless the IDL names others. */
export function discriminatorOf(event: EventName, program: string): Uint8Array {
  if (event.discriminator === undefined) {
    return createHash("sha256").update(`event:${event.name}`).digest().subarray(0, DISCRIMINATOR_BYTES);
  }
  const bytes = Uint8Array.from(event.discriminator);
  if (bytes.length !== DISCRIMINATOR_BYTES || event.discriminator.some((b, i) => b !== bytes[i])) {
    throw new Fatal("EVENT_DISCRIMINATOR", `the discriminator of ${event.name} is not eight bytes`, {
      where: `program ${program}`,
      hint: "Shorter or longer discriminators are not supported.",
    });
  }
  return bytes;
}

const COMMON = new Map(EVENT_COLUMNS.map((column) => [column.name, column]));

/** A field that bears the name of a common column is set apart by a prefix. */
function columnName(leaf: Leaf): string {
  return COMMON.has(leaf.column.name) ? `event_${leaf.column.name}` : leaf.column.name;
}

function datasetOf(spec: EventSpec, layouts: readonly Layout[], mintField: string | undefined, where: string) {
  const dataset = eventDataset({
    name: requireIdentifier(datasetName(spec), "dataset", where),
    version: spec.version ?? 1,
    doc: spec.doc ?? `Events ${spec.name}.`,
    fields: unionOfColumns(layouts, mintField, where),
  });
  if (mintField === undefined || mintField === "mint" || !hasField(layouts, mintField)) return dataset;
  return { ...dataset, columns: dataset.columns.map((c) => (c.name === "mint" ? { ...c, field: mintField } : c)) };
}

/** Columns of all layouts in the order listed; what is optional in one, or missing from one, is nullable. */
function unionOfColumns(layouts: readonly Layout[], mintField: string | undefined, where: string): ColumnSpec[] {
  const union = new Map<string, { column: ColumnSpec; layouts: Set<Layout>; nullable: boolean }>();
  for (const layout of layouts) {
    for (const leaf of layout.leaves) {
      if (leaf.path === mintField) continue;
      const name = requireIdentifier(columnName(leaf), "column", where);
      const column = name === leaf.column.name ? leaf.column : { ...leaf.column, name, field: leaf.path };
      const known = union.get(name) ?? { column, layouts: new Set(), nullable: false };
      if (known.layouts.has(layout)) throw twoFields(name, where);
      if (known.column.type !== column.type) throw twoTypes(name, known.column.type, column.type, where);
      known.layouts.add(layout);
      known.nullable ||= column.nullable === true;
      union.set(name, known);
    }
  }
  return [...union.values()].map(({ column, layouts: having, nullable }) =>
    nullable || having.size < layouts.length ? { ...column, nullable: true } : column,
  );
}

function hasField(layouts: readonly Layout[], path: string): boolean {
  return layouts.some((layout) => layout.indexOf(path) >= 0);
}

function compileLayout(
  layout: Layout,
  dataset: DatasetSpec,
  spec: EventSpec,
  mintField: string | undefined,
  where: string,
): CompiledLayout {
  const mint = mintField === undefined ? -1 : layout.indexOf(mintField);
  if (mint >= 0 && layout.leaves[mint]!.column.type !== "bytes32") {
    throw new Fatal("EVENT_MINT", `the mint field ${mintField} is not an address`, {
      where,
      hint: "Name another field.",
    });
  }
  const byColumn = new Map(layout.leaves.map((leaf, i) => [columnName(leaf), i]));
  if (mint >= 0) byColumn.delete(columnName(layout.leaves[mint]!));
  const leafOfColumn = dataset.columns.slice(EVENT_COLUMNS.length).map((column) => byColumn.get(column.name) ?? -1);
  const trade = spec.trade === undefined ? null : new LayoutTrade(layout, spec.trade, dataset.name, where);
  return { layout, mint, leafOfColumn, trade };
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function twoFields(column: string, where: string): Fatal {
  return new Fatal("EVENT_COLUMN", `two fields would share the column ${column}`, {
    where,
    hint: "Rename one of them.",
  });
}

function twoTypes(column: string, a: string, b: string, where: string): Fatal {
  return new Fatal("EVENT_COLUMN", `the column ${column} would be ${a} in one layout and ${b} in another`, {
    where,
    hint: "Rename the field in one of the layouts.",
  });
}

function noLayout(where: string): Fatal {
  return new Fatal("EVENT_LAYOUT", "the event has no layout", { where, hint: "Give at least one list of fields." });
}

function noMint(field: string, where: string): Fatal {
  return new Fatal("EVENT_MINT", `no layout has the mint field ${field}`, {
    where,
    hint: "Name a field of the event.",
  });
}
