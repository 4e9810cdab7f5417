/** A mapping proposed for a module's output, from its descriptors alone: which lists make rows, what they inherit, what names the token. */
import { type FieldInfo, type MessageType, ScalarType } from "@bufbuild/protobuf";
import { EVENT_COLUMNS } from "../pipeline/datasets/event.ts";
import { DATABASE_CHANGES, TABLE_CHANGES } from "../stages/decode/map/database-changes.ts";
import { DatasetMapper } from "../stages/decode/map/map-decoder.ts";
import type { MapDataset } from "../stages/decode/map/map-spec.ts";
import { snakeCase } from "../stages/decode/names.ts";

/** Deeper lists exist, but nobody would guess what they mean. */
const DEPTH_MAX = 5;

export interface Proposal {
  /** As `maps` takes it. */
  readonly setting: Readonly<Record<string, unknown>> & { readonly dataset: string; readonly rows: string };
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** For the reader: what was guessed and what else there is. */
  readonly notes: readonly string[];
}

interface Candidate {
  readonly path: readonly FieldInfo[];
  readonly type: MessageType;
}

export function proposeMaps(type: MessageType): Proposal[] {
  const all = candidatesOf(type, []);
  const found = all.length > 0 ? all : [{ path: [], type }];
  const names = new Set<string>();
  return found.map((candidate) => proposalFor(type, candidate, names));
}

/** Lists of messages, the innermost ones; where those hold a oneof of messages, each of its cases. */
function candidatesOf(type: MessageType, path: readonly FieldInfo[]): Candidate[] {
  if (path.length >= DEPTH_MAX) return [];
  return type.fields.list().flatMap((field): Candidate[] => {
    if (field.kind !== "message" || path.some((step) => step.kind === "message" && step.T === field.T)) return [];
    const here = [...path, field];
    const deeper = candidatesOf(field.T, here);
    if (deeper.length > 0)
      return field.T.fields.list().some(isList) && hasOwnRows(field)
        ? [{ path: here, type: field.T }, ...deeper]
        : deeper;
    const isCase = field.oneof !== undefined && path.some((step) => step.repeated);
    return field.repeated || isCase ? [{ path: here, type: field.T }] : [];
  });
}

const isList = (field: FieldInfo) => field.repeated && field.kind === "message";

/** A list whose elements say much themselves, beside the lists that they hold. */
function hasOwnRows(field: FieldInfo): boolean {
  if (!field.repeated || field.kind !== "message") return false;
  return field.T.fields.list().filter((inner) => inner.kind === "scalar" && !inner.repeated).length >= 8;
}

function proposalFor(root: MessageType, { path, type }: Candidate, names: Set<string>): Proposal {
  const rows = path.map((field) => field.name).join(".");
  const notes: string[] = [];
  const parents = path.slice(0, -1).flatMap((field, i) => {
    const before = path
      .slice(0, i + 1)
      .map((step) => step.name)
      .join(".");
    const inherited = field.kind === "message" ? field.T.fields.list().filter(isPlain) : [];
    return inherited.map((inner) => ({ path: `${before}.${inner.name}`, field: inner }));
  });
  const own = type.fields
    .list()
    .filter(isPlain)
    .map((field) => ({ path: field.name, field }));
  const signature = find([...own, ...parents], /^(signature|tx_?id|tx_?hash|transaction_?(id|hash|signature)|sig)$/i);
  const program = find([...own, ...parents], /^(program|program_?id|amm|outer_program|dapp_?address)$/i);
  const instruction = [...own, ...parents]
    .filter(({ field }) =>
      /^(inner_)?(instruction|instruxtion|ix)_?(index|id)$|^inner_instru[cx]tion_index$/i.test(field.name),
    )
    .map((f) => f.path);
  const setting: Record<string, unknown> = { dataset: datasetName(root, path, names), rows };
  const taken = new Set(own.map(({ field }) => snakeCase(field.name)));
  const inherited = parents
    .filter((p) => p.path !== signature && !taken.has(snakeCase(p.field.name)))
    .map((p) => p.path);
  if (inherited.length > 0) setting["parents"] = inherited;
  const mint = mintOf(own, notes);
  if (mint !== undefined) setting["mint"] = mint;
  if (signature === undefined)
    notes.push(
      "no field looks like a signature: a row is known by its place in the block, which depends on the package's filters",
    );
  else setting["signature"] = signature;
  if (program !== undefined) setting["program"] = program;
  if (instruction.length > 0) setting["instruction"] = instruction;
  if (root.typeName === DATABASE_CHANGES && rows === TABLE_CHANGES) {
    notes.push(
      "for one table with typed columns, add for example: table: swaps, columns: {mint: bytes32, amount: u64}",
    );
  }
  return { setting: setting as Proposal["setting"], columns: columnsOf(root, setting), notes };
}

type Named = { readonly path: string; readonly field: FieldInfo };

function isPlain(field: FieldInfo): boolean {
  return !field.repeated && (field.kind === "scalar" || field.kind === "enum");
}

function isAddress({ field }: Named): boolean {
  return field.kind === "scalar" && (field.T === ScalarType.BYTES || field.T === ScalarType.STRING);
}

function find(fields: readonly Named[], pattern: RegExp): string | undefined {
  return fields.find((f) => isAddress(f) && pattern.test(f.field.name))?.path;
}

/** The second is what a row is about where neither of the two is a currency: what was got, or the base of a pool. */
const PAIRS = [
  [/^(quote|pc).*mint/i, /^(base|coin).*mint/i],
  [
    /^(input|in|from|source|token_?0|token_?a).*mint|^mint_?(in|0|a)$/i,
    /^(output|out|to|destination|token_?1|token_?b).*mint|^mint_?(out|1|b)$/i,
  ],
] as const;

function mintOf(own: readonly Named[], notes: string[]): unknown {
  const mints = own.filter((f) => isAddress(f) && /mint/i.test(f.field.name)).map((f) => f.path);
  const [first, second] = PAIRS.map((pair) => pair.map((pattern) => mints.find((name) => pattern.test(name)))).find(
    ([one, other]) => one !== undefined && other !== undefined,
  ) ?? [undefined, undefined];
  if (first !== undefined && second !== undefined) {
    notes.push(
      "a row touches two tokens: `token` takes the one that is not SOL, USDC or USDT, else the second; others are first, second, both",
    );
    return { of: [first, second], rule: "token" };
  }
  const only = mints.find((name) => /^(mint|mint_?(address|account)|token_?mint|base_?mint)$/i.test(name)) ?? mints[0];
  if (only === undefined)
    notes.push("no field looks like a mint: rows belong to no token. Set `mint` to the field that names it");
  return only;
}

/** Names that say nothing of what is in the list: then the package of the type does, "dex.pool.creations.v1". */
const EMPTY_NAMES = new Set(["data", "items", "rows", "records", "list", "output", "outputs", "elements", "values"]);

/** "transactions.swaps" makes "swaps"; what two lists would share is set apart by the list above. */
function datasetName(root: MessageType, path: readonly FieldInfo[], names: Set<string>): string {
  const parts = path.length === 0 ? [root.name] : path.map((field) => field.name);
  if (EMPTY_NAMES.has(parts.at(-1)!.toLowerCase())) {
    const said = root.typeName.split(".").slice(0, -1);
    const words = said.filter((part) => !/^(v\d+|sf|solana)$/.test(part));
    if (words.length > 0) parts.splice(-1, 1, words.join("_"));
  }
  for (let from = parts.length - 1; ; from--) {
    const name = snakeCase(parts.slice(Math.max(0, from)).join("_"));
    const own = ["blocks", "mints", "orders", "candles", "user_events", "trades", "quarantine"].includes(name)
      ? `${name}_out`
      : name;
    if (names.has(own) && from > 0) continue;
    names.add(own);
    return own;
  }
}

function columnsOf(type: MessageType, setting: Record<string, unknown>): Proposal["columns"] {
  const { dataset } = new DatasetMapper({ type, datasets: [] }, mapDatasetOf(setting));
  return dataset.columns.slice(EVENT_COLUMNS.length).map(({ name, type: column, nullable }) => ({
    name,
    type: nullable === true ? `${column}?` : column,
  }));
}

function mapDatasetOf({ instruction, ...rest }: Record<string, unknown>): MapDataset {
  return { ...rest, ...(instruction === undefined ? {} : { instructionPath: instruction }) } as unknown as MapDataset;
}

/** The proposals as commented lines for `sluice.yaml`. */
export function proposalYaml(
  proposals: readonly Proposal[],
  origin: { readonly package: string; readonly module: string },
): string {
  const lines = ["maps:"];
  for (const { setting, columns, notes } of proposals) {
    const shown = { package: origin.package, module: origin.module, ...setting };
    for (const note of notes) lines.push(`  # ${note}`);
    Object.entries(shown).forEach(([key, value], i) => {
      lines.push(
        `  ${i === 0 ? "-" : " "} ${key}: ${typeof value === "string" && /^[\w.]+$/.test(value) ? value : JSON.stringify(value)}`,
      );
    });
    lines.push(`    # columns: ${columns.map(({ name, type }) => `${name} ${type}`).join(", ")}`);
  }
  return `${lines.join("\n")}\n`;
}
