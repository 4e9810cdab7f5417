/** Rows of one batch as they are found: events, their trades and what has to be set aside. */
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { EVENT_COLUMNS } from "../../pipeline/datasets/event.ts";
import { QUARANTINE, type QuarantineReason } from "../../pipeline/datasets/quarantine.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { type Table, TableBuilder } from "../../pipeline/wire/table.ts";
import { SIGNATURE_BYTES } from "./block-reader.ts";
import { type CompiledLayout, DISCRIMINATOR_BYTES, type EventDecoder } from "./event-decoder.ts";
import { ABSENT } from "./layout.ts";
import { ADDRESS_BYTES } from "./program-set.ts";

/** What a message can carry must also hold the bytes that were set aside. */
export const MAX_QUARANTINED_BYTES = 256 * 1024;

const COMMON = EVENT_COLUMNS.length;

/** Rows for which a table has room when nothing is known of its size. */
const CAPACITY_MIN = 64;

/** Where an event stands: what its common columns say. */
export interface Place {
  slot: number;
  time: number;
  txIndex: number;
  eventIndex: number;
  /** The signature is `signatureIn[signatureAt, + 64)`. */
  signatureIn: Uint8Array;
  signatureAt: number;
  /** ASCII. */
  path: Uint8Array;
  ordinal: number;
  program: Uint8Array;
}

export class RowWriter {
  private readonly builders = new Map<string, TableBuilder>();
  /** Rows of the last batch by dataset: the next one is likely as large, and growing step by step copies them again. */
  private readonly rowsBefore = new Map<string, number>();

  /** Appends the event whose layout has just been located in `bytes`. */
  event(place: Place, decoder: EventDecoder, compiled: CompiledLayout, bytes: Uint8Array): void {
    const { layout, leafOfColumn, mint } = compiled;
    const { columns } = this.builder(decoder.dataset);
    const mintAt = mint < 0 ? ABSENT : layout.at[mint]!;
    appendPlace(columns, place, bytes, mintAt);
    for (let c = 0; c < leafOfColumn.length; c++) {
      const leaf = leafOfColumn[c]!;
      if (leaf < 0) columns[COMMON + c]!.null();
      else layout.append(leaf, bytes, columns[COMMON + c]!);
    }
  }

  /** Appends the trade that the same event is; false when it lacks a user or a price. */
  trade(place: Place, compiled: CompiledLayout, bytes: Uint8Array): boolean {
    const { trade, layout, mint } = compiled;
    if (trade === null) return true;
    if (!trade.prepare(bytes)) return false;
    const { columns } = this.builder(TRADES);
    appendPlace(columns, place, bytes, mint < 0 ? ABSENT : layout.at[mint]!);
    trade.append(bytes, columns, COMMON);
    return true;
  }

  /** Sets `bytes[start, end)` aside. `discriminated`: its first eight bytes are a discriminator. */
  quarantine(
    place: Place,
    reason: QuarantineReason,
    detail: string,
    bytes: Uint8Array,
    start: number,
    end: number,
    discriminated: boolean,
  ): void {
    const { columns } = this.builder(QUARANTINE);
    appendPlace(columns, place, bytes, ABSENT);
    const cut = end - start > MAX_QUARANTINED_BYTES;
    columns[COMMON]!.string(reason);
    columns[COMMON + 1]!.string(
      cut ? `${detail}; first ${MAX_QUARANTINED_BYTES} of ${end - start} bytes kept` : detail,
    );
    if (discriminated) columns[COMMON + 2]!.bytes(bytes, start, start + DISCRIMINATOR_BYTES);
    else columns[COMMON + 2]!.null();
    columns[COMMON + 3]!.bytes(bytes, start, cut ? start + MAX_QUARANTINED_BYTES : end);
  }

  /** The tables with rows, by dataset name. */
  finish(): Map<string, Table> {
    return new Map(Array.from(this.builders, ([name, builder]) => [name, builder.finish()]));
  }

  clear(): void {
    for (const [name, { length }] of this.builders) this.rowsBefore.set(name, length);
    this.builders.clear();
  }

  private builder(spec: DatasetSpec): TableBuilder {
    let builder = this.builders.get(spec.name);
    if (builder === undefined) {
      builder = new TableBuilder(spec, Math.max(CAPACITY_MIN, Math.ceil((this.rowsBefore.get(spec.name) ?? 0) * 1.25)));
      this.builders.set(spec.name, builder);
    }
    return builder;
  }
}

/** Fills the columns of `EVENT_COLUMNS`, in their order. */
function appendPlace(columns: TableBuilder["columns"], place: Place, bytes: Uint8Array, mintAt: number): void {
  columns[0]!.number(place.slot);
  columns[1]!.number(place.time);
  columns[2]!.number(place.txIndex);
  columns[3]!.number(place.eventIndex);
  columns[4]!.bytes(place.signatureIn, place.signatureAt, place.signatureAt + SIGNATURE_BYTES);
  columns[5]!.bytes(place.path);
  columns[6]!.number(place.ordinal);
  columns[7]!.bytes(place.program);
  if (mintAt === ABSENT) columns[8]!.null();
  else columns[8]!.bytes(bytes, mintAt, mintAt + ADDRESS_BYTES);
}
