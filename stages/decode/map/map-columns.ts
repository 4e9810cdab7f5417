/** The columns of a mapped dataset: what its rows inherit, then the fields of the row message, single messages flattened. */
import type { FieldInfo, MessageType, OneofInfo } from "@bufbuild/protobuf";
import type { ColumnSpec } from "../../../pipeline/datasets/dataset.ts";
import type { Cell } from "../../../pipeline/wire/column.ts";
import { setApart, twoFields } from "../dataset-columns.ts";
import { columnNameOf, requireIdentifier } from "../names.ts";
import type { BytesForm, MapDataset } from "./map-spec.ts";
import { type Fields, follow, messageOf, resolvePath, type Step, stepOf } from "./message-path.ts";
import { type ValueForm, valueForm } from "./values.ts";

/** Messages within messages are flattened so deep; what is deeper, or contains itself, is JSON. */
const FLAT_DEPTH = 4;

export interface MapColumn {
  readonly spec: ColumnSpec;
  /** How far down the row's path the message is that has the field: 0 is the output. */
  readonly level: number;
  read(message: Fields): Cell;
}

/** `levels`: the steps from the output to the row message. */
export function columnsOf(type: MessageType, levels: readonly Step[], setting: MapDataset, where: string): MapColumn[] {
  const rowType = levels.length === 0 ? type : messageOf(levels.at(-1)!.field)!;
  return [
    ...(setting.parents ?? []).map((path) => parentColumn(type, levels, path, setting, where)),
    ...fieldColumns(rowType, levels.length, [], setting),
  ];
}

/** The columns under names that no other column has; one that is called as a common column is gets a prefix. */
export function setColumnsApart(columns: readonly MapColumn[], where: string): MapColumn[] {
  const taken = new Set<string>();
  return columns.map((column) => {
    const name = requireIdentifier(setApart(column.spec.name, "row"), "column", where);
    if (taken.has(name)) throw twoFields(name, where);
    taken.add(name);
    return { ...column, spec: { ...column.spec, name } };
  });
}

/** A path from the output, to the level where it leaves the way to the rows, and the rest of it from there. */
export function leave(levels: readonly Step[], steps: readonly Step[]): { level: number; rest: readonly Step[] } {
  let level = 0;
  while (level < levels.length && level < steps.length - 1 && steps[level]!.field === levels[level]!.field) level++;
  return { level, rest: steps.slice(level) };
}

function parentColumn(
  type: MessageType,
  levels: readonly Step[],
  path: string,
  setting: MapDataset,
  where: string,
): MapColumn {
  const { level, rest } = leave(levels, resolvePath(type, path, where));
  const { field } = rest.at(-1)!;
  const name = rest.map((step) => columnNameOf(step.field.name)).join("_");
  return columnOf(name, path, level, rest, valueForm(field, bytesForm(setting, path)), true);
}

function fieldColumns(type: MessageType, level: number, before: readonly Step[], setting: MapDataset): MapColumn[] {
  const seen = new Set<OneofInfo>();
  return type.fields.list().flatMap((field) => {
    const steps = [...before, stepOf(field)];
    const path = steps.map((step) => step.field.name).join(".");
    if (setting.omit?.includes(path) === true) return [];
    const cases: MapColumn[] = [];
    if (field.oneof !== undefined && !seen.has(field.oneof)) {
      seen.add(field.oneof);
      cases.push(caseColumn(field.oneof, level, before));
    }
    return [...cases, ...ownColumns(field, path, level, steps, setting)];
  });
}

function ownColumns(
  field: FieldInfo,
  path: string,
  level: number,
  steps: readonly Step[],
  setting: MapDataset,
): MapColumn[] {
  const nested = field.repeated ? null : messageOf(field);
  const contains = (type: MessageType) => steps.slice(0, -1).some((step) => messageOf(step.field) === type);
  if (nested !== null && steps.length < FLAT_DEPTH && !contains(nested) && nested.fields.list().length > 0) {
    return fieldColumns(nested, level, steps, setting);
  }
  const name = steps.map((step) => columnNameOf(step.field.name)).join("_");
  const isOptional = field.opt || field.req || field.oneof !== undefined || nested !== null || steps.length > 1;
  return [columnOf(name, path, level, steps, valueForm(field, bytesForm(setting, path)), isOptional)];
}

/** Says which case of a oneof is set. */
function caseColumn(oneof: OneofInfo, level: number, before: readonly Step[]): MapColumn {
  const name = [...before.map((step) => columnNameOf(step.field.name)), columnNameOf(oneof.name)].join("_");
  const names = new Map(oneof.fields.map((field) => [field.localName, field.name]));
  return {
    spec: { name, type: "utf8", nullable: true, doc: `Which of ${[...names.values()].join(", ")} is set.` },
    level,
    read: (message) => {
      const holder = follow(before, message) as Fields | undefined;
      const chosen = (holder?.[oneof.localName] as { case?: string } | undefined)?.case;
      return chosen === undefined ? null : (names.get(chosen) ?? null);
    },
  };
}

function columnOf(
  name: string,
  path: string,
  level: number,
  steps: readonly Step[],
  form: ValueForm,
  isOptional: boolean,
): MapColumn {
  return {
    spec: {
      name,
      type: form.type,
      ...(isOptional ? { nullable: true } : {}),
      ...(path === name ? {} : { field: path }),
      doc: `Field ${path} of the output.`,
    },
    level,
    read: (message) => {
      const value = follow(steps, message);
      return value === undefined || value === null ? null : form.cell(value);
    },
  };
}

function bytesForm(setting: MapDataset, path: string): BytesForm {
  return setting.bytesOf?.[path] ?? setting.bytes ?? "base58";
}
