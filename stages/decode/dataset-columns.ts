/** The columns of a dataset from the layouts that fill it. */
import type { ColumnSpec } from "../../pipeline/datasets/dataset.ts";
import { EVENT_COLUMNS } from "../../pipeline/datasets/event.ts";
import { Fatal } from "../../pipeline/errors.ts";
import type { Layout, Leaf } from "./layout.ts";
import { requireIdentifier } from "./names.ts";

/** SQLite takes 2,000, those that all rows have included. */
const COLUMNS_MAX = 1_000;

const COMMON = new Set(EVENT_COLUMNS.map((column) => column.name));

/** A field that bears the name of a common column is set apart by a prefix. */
export function columnName(leaf: Leaf): string {
  return setApart(leaf.column.name, "event");
}

/** `name`, or `prefix_name` where that is the name of a common column. */
export function setApart(name: string, prefix: string): string {
  return COMMON.has(name) ? `${prefix}_${name}` : name;
}

/**
 * Columns of all layouts in the order listed; what is optional in one, or missing from one, is nullable. `claimed`: path of
 * the field that is the common column `mint`.
 */
export function unionOfColumns(layouts: readonly Layout[], claimed: string | undefined, where: string): ColumnSpec[] {
  const union = new Map<string, { column: ColumnSpec; layouts: Set<Layout>; nullable: boolean }>();
  for (const layout of layouts) {
    const taken = claimed === undefined ? -1 : layout.indexOf(claimed);
    for (const [i, leaf] of layout.leaves.entries()) {
      if (i === taken) continue;
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
  if (union.size > COLUMNS_MAX) throw tooMany(union.size, where);
  return [...union.values()].map(({ column, layouts: having, nullable }) =>
    nullable || having.size < layouts.length ? { ...column, nullable: true } : column,
  );
}

export function twoFields(column: string, where: string): Fatal {
  return new Fatal("EVENT_COLUMN", `two fields would share the column ${column}`, {
    where,
    hint: "Rename one of them.",
  });
}

function tooMany(columns: number, where: string): Fatal {
  return new Fatal("EVENT_COLUMN", `there would be ${columns} columns, and at most ${COLUMNS_MAX} are stored`, {
    where,
    hint: "Leave the event out.",
  });
}

function twoTypes(column: string, a: string, b: string, where: string): Fatal {
  return new Fatal("EVENT_COLUMN", `the column ${column} would be ${a} in one layout and ${b} in another`, {
    where,
    hint: "Rename the field in one of the layouts.",
  });
}
