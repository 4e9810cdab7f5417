/** One module's outputs to rows: decodes the message once and walks it for each dataset. */
import type { Message, MessageType } from "@bufbuild/protobuf";
import type { DatasetSpec } from "../../../pipeline/datasets/dataset.ts";
import { EVENT_COLUMNS, eventDataset } from "../../../pipeline/datasets/event.ts";
import { Poison } from "../../../pipeline/errors.ts";
import { checkMessageSize, isRecursive } from "../../../pipeline/message-size.ts";
import type { Cell } from "../../../pipeline/wire/column.ts";
import { type DatasetHealth, emptyDatasetHealth, type ProgramHealth } from "../health.ts";
import { requireIdentifier } from "../names.ts";
import { appendPlace, type Place, type RowWriter } from "../row-writer.ts";
import { DATABASE_CHANGES, TABLE_CHANGES, TableChanges, UnreadableText } from "./database-changes.ts";
import { broken, type Chain, choose, keyOf, type Pick, Picker } from "./map-addresses.ts";
import { columnsOf, type MapColumn, setColumnsApart } from "./map-columns.ts";
import type { MapDataset, MapMint, MapSpec } from "./map-spec.ts";
import { SwapMapper, type SwapRow } from "./map-trade.ts";
import { type Fields, messageOf, notThere, resolvePath, type Step } from "./message-path.ts";

const COMMON = EVENT_COLUMNS.length;
const SIGNATURE_BYTES = 64;
const NO_SIGNATURE = new Uint8Array(SIGNATURE_BYTES);
const NO_PROGRAM = new Uint8Array(32);
const encoder = new TextEncoder();
/** Outputs up to this size are decoded without a look at how many fields they have. */
const UNCHECKED_BYTES_MAX = 256 * 1024;
/** Far more than a block has: some hundred fields for each of its transactions. */
const FIELDS_MAX = 4_000_000;

export class MapDecoder {
  readonly typeName: string;
  readonly datasets: readonly DatasetMapper[];
  private readonly spec: MapSpec;
  private readonly isRecursive: boolean;

  constructor(spec: MapSpec) {
    this.spec = spec;
    this.isRecursive = isRecursive(spec.type);
    this.typeName = spec.type.typeName;
    this.datasets = spec.datasets.map((dataset) => new DatasetMapper(spec, dataset));
  }

  /** Writes the rows of one block. `place` holds the block; the rest is filled in here. Throws `Poison` for bytes that are no such message. */
  decode(payload: Uint8Array, place: Place, writer: RowWriter, health: ProgramHealth): void {
    let output: Message;
    try {
      if (this.isRecursive || payload.length > UNCHECKED_BYTES_MAX) {
        checkMessageSize(this.spec.type, payload, FIELDS_MAX);
      }
      output = this.spec.type.fromBinary(payload);
    } catch (cause) {
      throw new Poison("MAP_MALFORMED", `the output is no ${this.typeName}: ${(cause as Error).message}`, {
        hint: "The package's descriptors are not those of the module that made it; the bytes are kept in quarantine.",
        cause,
      });
    }
    for (const dataset of this.datasets) dataset.write(output as unknown as Fields, place, writer, health);
  }
}

export class DatasetMapper {
  readonly dataset: DatasetSpec;
  /** How its rows have fared. */
  readonly health: DatasetHealth = emptyDatasetHealth();
  private readonly levels: readonly Step[];
  private readonly columns: readonly MapColumn[];
  private readonly changes: TableChanges | null;
  private readonly mints: (chain: Chain) => readonly (Uint8Array | null)[];
  private readonly signature: Pick<Uint8Array>;
  private readonly program: Pick<Uint8Array>;
  private readonly path: readonly Pick<unknown>[];
  private readonly swap: SwapMapper | null;
  /** How many rows of the block have the same signature and path: their ordinals. */
  private readonly ordinals = new Map<string, number>();
  private readonly chain: Fields[] = [];

  constructor({ type }: MapSpec, setting: MapDataset) {
    const where = `maps ${setting.dataset}`;
    this.levels = resolvePath(type, setting.rows, where);
    const last = this.levels.at(-1);
    const rowType = last === undefined ? type : messageOf(last.field);
    if (rowType === null) throw notThere(setting.rows, `${last!.field.name} holds no message`, where);
    const picker = new Picker(type, rowType, this.levels, where);
    this.changes = tableOf(type.typeName, rowType, setting, where);
    this.columns = setColumnsApart(this.changes?.columns ?? columnsOf(type, this.levels, setting, where), where);
    const bytes = (path: string | undefined, size: 32 | 64): Pick<Uint8Array> => {
      if (path === undefined) return () => null;
      const { changes } = this;
      return changes === null ? picker.bytes(path, size) : () => changes.bytes(path, size);
    };
    this.mints = this.changes === null ? picker.mints(setting.mint) : this.tableMints(this.changes, setting.mint);
    this.signature = bytes(setting.signature, SIGNATURE_BYTES);
    this.program = bytes(setting.program, 32);
    this.path = (setting.instructionPath ?? []).map((path) => picker.value(path));
    this.swap = setting.trade === undefined ? null : new SwapMapper(setting.trade, picker, setting.dataset, where);
    this.dataset = eventDataset({
      name: requireIdentifier(setting.dataset, "dataset", where),
      version: 1,
      doc: setting.doc ?? `Rows of ${type.typeName}${setting.rows === "" ? "" : `, ${setting.rows}`}.`,
      fields: this.columns.map((column) => column.spec),
    });
  }

  private tableMints(
    changes: TableChanges,
    rule: MapMint | undefined,
  ): (chain: Chain) => readonly (Uint8Array | null)[] {
    if (rule === undefined) return () => [null];
    const columns = typeof rule === "string" ? [rule] : rule.of;
    const how = typeof rule === "string" ? "first" : rule.rule;
    return () =>
      choose(
        how,
        columns.map((column) => changes.bytes(column, 32)),
      );
  }

  write(output: Fields, place: Place, writer: RowWriter, health: ProgramHealth): void {
    this.ordinals.clear();
    place.txIndex = 0;
    place.eventIndex = 0;
    this.walk(0, output, place, writer, health, -1);
    writer.endTransaction();
  }

  /** `outer`: index in the outermost list, -1 before it. What stands in one element of it counts as one transaction. */
  private walk(
    level: number,
    message: Fields,
    place: Place,
    writer: RowWriter,
    health: ProgramHealth,
    outer: number,
  ): void {
    this.chain[level] = message;
    const step = this.levels[level];
    if (step === undefined) {
      this.row(message, place, writer, health);
      return;
    }
    const value = step.read(message);
    if (value === undefined || value === null) return;
    if (!step.field.repeated) {
      this.walk(level + 1, value as Fields, place, writer, health, outer);
      return;
    }
    for (const [i, element] of (value as readonly Fields[]).entries()) {
      if (outer < 0) {
        writer.endTransaction();
        place.txIndex = i;
        place.eventIndex = 0;
      }
      this.walk(level + 1, element, place, writer, health, outer < 0 ? i : outer);
    }
  }

  private row(message: Fields, place: Place, writer: RowWriter, health: ProgramHealth): void {
    if (this.changes !== null && !this.changes.prepare(message)) return;
    health.seen++;
    this.health.seen++;
    this.locate(place);
    const cells = this.cells(message, place, writer);
    if (cells === null) {
      health.badValue++;
      this.health.badValue++;
      return;
    }
    health.decoded++;
    this.health.decoded++;
    health.lastDecodedSlot = this.health.lastDecodedSlot = place.slot;
    const swap = this.swap?.map(this.chain) ?? null;
    if (this.swap !== null && swap === null) health.tradesWithoutPrice++;
    const mints = this.mints(this.chain);
    for (const mint of mints) {
      place.ordinal = this.nextOrdinal(place);
      const { columns } = writer.table(this.dataset);
      appendPlace(columns, place, mint === null ? null : { in: mint, at: 0 });
      for (let c = 0; c < cells.length; c++) columns[COMMON + c]!.cell(cells[c]!);
      const isTrade = mints.length === 1 || (mint !== null && swap !== null && keyOf(mint) === keyOf(swap.mint));
      if (swap !== null && isTrade) this.trade(swap, place, writer);
      place.eventIndex++;
    }
  }

  /** The row's cells; null when one of them is a text that its column cannot hold: then the row's bytes are set aside. */
  private cells(message: Fields, place: Place, writer: RowWriter): Cell[] | null {
    try {
      return this.columns.map((column) => column.read(this.chain[column.level]!));
    } catch (error) {
      if (!(error instanceof UnreadableText)) throw error;
      place.ordinal = this.nextOrdinal(place);
      const bytes = (message as unknown as Message).toBinary();
      writer.quarantine(place, "bad_value", `${this.dataset.name}: ${error.message}`, bytes, 0, bytes.length, false);
      place.eventIndex++;
      return null;
    }
  }

  private trade(swap: SwapRow, place: Place, writer: RowWriter): void {
    const report = {
      mint: keyOf(swap.mint),
      isBuy: swap.isBuy,
      base: swap.base,
      program: swap.venue,
      venue: swap.isAggregator ? "" : null,
      ...(swap.isUnattributed ? { unattributedQuote: swap.quote } : {}),
    };
    const mint = { in: swap.mint, at: 0 };
    writer.appendTrade(place, mint, report, (columns, first) => this.swap!.append(swap, columns, first));
  }

  /** Fills in where the row stands: what the output tells, else its place in the output. */
  private locate(place: Place): void {
    const signature = this.signature(this.chain);
    place.signatureIn = signature ?? NO_SIGNATURE;
    place.signatureAt = 0;
    place.program = this.program(this.chain) ?? NO_PROGRAM;
    const told = this.path.map((part) => part(this.chain)).filter((part) => part !== null);
    const text = told.length > 0 ? told.map(String).join(".") : signature === null ? `~${place.txIndex}` : "~";
    place.path = encoder.encode(text);
  }

  private nextOrdinal({ signatureIn, path }: Place): number {
    const key = `${keyOf(signatureIn)} ${keyOf(path)}`;
    const ordinal = this.ordinals.get(key) ?? 0;
    this.ordinals.set(key, ordinal + 1);
    return ordinal;
  }
}

function tableOf(
  typeName: string,
  rowType: MessageType,
  { table, rows }: MapDataset,
  where: string,
): TableChanges | null {
  if (table === undefined) return null;
  if (typeName === DATABASE_CHANGES && rows === TABLE_CHANGES) {
    return new TableChanges(rowType, table.name, table.columns, where);
  }
  throw broken(`\`table\` is for ${DATABASE_CHANGES} and rows: ${TABLE_CHANGES}`, where);
}
