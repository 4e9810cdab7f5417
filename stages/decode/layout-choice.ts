/** The layouts that one discriminator has had on chain, compiled against the dataset they fill, and the choice among them. */
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { EVENT_COLUMNS } from "../../pipeline/datasets/event.ts";
import type { AddressSource } from "./address-source.ts";
import { BAD_VALUE, TOO_SHORT } from "./borsh.ts";
import { columnName } from "./dataset-columns.ts";
import type { Layout } from "./layout.ts";
import type { TradeWriter } from "./trade-mapping.ts";

/** One layout and where its values go. */
export interface CompiledLayout {
  readonly layout: Layout;
  /** Finds the mint; null when the row belongs to no token. */
  readonly mint: AddressSource | null;
  /** For each column of the dataset after the common ones: its leaf, or -1 when this layout lacks it. */
  readonly leafOfColumn: readonly number[];
  readonly trade: TradeWriter | null;
}

export class LayoutChoice {
  /** Bytes that the layout chosen last left unread. */
  leftOver = 0;
  private readonly layouts: readonly CompiledLayout[];

  constructor(layouts: readonly CompiledLayout[]) {
    this.layouts = layouts;
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

  /**
   * Size of each element of the list `bytes[start, end)` (without its count), or null: `count` elements of no known layout
   * fill it. A single element may be longer than its layout; of more than one, nobody could say where the next begins.
   */
  elementSize(bytes: number, count: number): number | null {
    const sizes = this.layouts.map(({ layout }) => layout.size ?? 0);
    if (sizes.some((size) => size * count === bytes)) return bytes / count;
    return count === 1 && sizes.some((size) => size < bytes) ? bytes : null;
  }
}

/** For each column of the dataset after the common ones its leaf in this layout; `claimed`: a leaf that is a common column. */
export function leavesOfColumns(layout: Layout, dataset: DatasetSpec, claimed: number): readonly number[] {
  const byColumn = new Map(layout.leaves.map((leaf, i) => [columnName(leaf), i]));
  if (claimed >= 0) byColumn.delete(columnName(layout.leaves[claimed]!));
  return dataset.columns.slice(EVENT_COLUMNS.length).map((column) => byColumn.get(column.name) ?? -1);
}
