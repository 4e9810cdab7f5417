/** Rows of one batch as they are found: events, their trades and what has to be set aside. */

import bs58 from "bs58";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { EVENT_COLUMNS } from "../../pipeline/datasets/event.ts";
import { QUARANTINE, type QuarantineReason } from "../../pipeline/datasets/quarantine.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { type Table, TableBuilder } from "../../pipeline/wire/table.ts";
import { SIGNATURE_BYTES } from "./block-reader.ts";
import { DoubleReports, type ReportedTrade } from "./double-reports.ts";
import type { EventDecoder } from "./event-decoder.ts";
import type { CompiledForm } from "./instruction-decoder.ts";
import type { CompiledLayout } from "./layout-choice.ts";
import { DISCRIMINATOR_BYTES } from "./program-decoder.ts";
import { ADDRESS_BYTES } from "./program-set.ts";
import type { Found, Surroundings } from "./surroundings.ts";
import type { TradeWriter } from "./trade-mapping.ts";

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
  private readonly around: Surroundings;
  /** Null when no aggregator is decoded: then nothing can be reported twice. */
  private readonly doubles: DoubleReports | null;
  private readonly mint: Found = { in: new Uint8Array(0), at: 0 };

  /** `aggregators`: some decoded trade may be another report of what one tells. */
  constructor(around: Surroundings, aggregators: boolean) {
    this.around = around;
    this.doubles = aggregators ? new DoubleReports() : null;
  }

  /** Appends the event whose layout has just been located in `bytes`. */
  event(place: Place, decoder: EventDecoder, compiled: CompiledLayout, bytes: Uint8Array): void {
    this.fields(place, decoder.dataset, compiled, bytes, compiled.leafOfColumn.length);
  }

  /** Appends the instruction whose layout has just been located in `bytes`, with its accounts. */
  instruction(place: Place, form: CompiledForm, compiled: CompiledLayout, bytes: Uint8Array): void {
    const { around, mint: found } = this;
    const { firstAccount, dataset } = form.instruction;
    const columns = this.fields(place, dataset!, compiled, bytes, firstAccount - COMMON);
    form.indexOfColumn.forEach((index, c) => {
      if (index >= 0 && around.accountAt(index, found)) {
        columns[firstAccount + c]!.bytes(found.in, found.at, found.at + ADDRESS_BYTES);
      } else columns[firstAccount + c]!.null();
    });
    const remaining = columns[firstAccount + form.indexOfColumn.length]!;
    if (around.accounts <= form.accounts) remaining.null();
    else remaining.string(this.addressesFrom(form.accounts));
  }

  /** Appends the trade that the same event is; false when it makes none. */
  trade(place: Place, compiled: CompiledLayout, bytes: Uint8Array): boolean {
    const { trade } = compiled;
    if (trade === null) return true;
    if (!trade.prepare(bytes, this.around)) return false;
    const mint = trade.mint ?? this.mintOf(compiled, bytes);
    const report = this.doubles === null ? null : reportOf(place, mint, trade, bytes);
    this.appendTrade(place, mint, report, (columns, first) => trade.append(bytes, columns, first));
    return true;
  }

  /** Appends a row of `trades`; `fill` writes its own columns. */
  appendTrade(
    place: Place,
    mint: Found | null,
    report: Omit<ReportedTrade, "row"> | null,
    fill: (columns: TableBuilder["columns"], first: number) => void,
  ): void {
    const table = this.table(TRADES);
    if (report !== null) this.doubles?.add({ ...report, row: table.length });
    appendPlace(table.columns, place, mint);
    fill(table.columns, COMMON);
  }

  endTransaction(): void {
    this.doubles?.endTransaction();
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
    const { columns } = this.table(QUARANTINE);
    appendPlace(columns, place, null);
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
    const tables = new Map(Array.from(this.builders, ([name, builder]) => [name, builder.finish()]));
    const trades = tables.get(TRADES.name);
    const dropped = this.doubles?.dropped;
    if (trades === undefined || dropped === undefined || dropped.size === 0) return tables;
    const kept = Array.from({ length: trades.length }, (_, row) => row).filter((row) => !dropped.has(row));
    if (kept.length > 0) tables.set(TRADES.name, trades.take(kept));
    else tables.delete(TRADES.name);
    return tables;
  }

  clear(): void {
    for (const [name, { length }] of this.builders) this.rowsBefore.set(name, length);
    this.builders.clear();
    this.doubles?.clear();
  }

  /** Appends the common columns and the first `count` of the row's own. */
  private fields(place: Place, dataset: DatasetSpec, compiled: CompiledLayout, bytes: Uint8Array, count: number) {
    const { layout, leafOfColumn } = compiled;
    const { columns } = this.table(dataset);
    appendPlace(columns, place, this.mintOf(compiled, bytes));
    for (let c = 0; c < count; c++) {
      const leaf = leafOfColumn[c]!;
      if (leaf < 0) columns[COMMON + c]!.null();
      else layout.append(leaf, bytes, columns[COMMON + c]!);
    }
    return columns;
  }

  private mintOf({ mint }: CompiledLayout, bytes: Uint8Array): Found | null {
    return mint?.(bytes, this.around, this.mint) === true ? this.mint : null;
  }

  private addressesFrom(first: number): string {
    const texts: string[] = [];
    for (let i = first; i < this.around.accounts; i++) {
      const { mint: found } = this;
      texts.push(
        this.around.accountAt(i, found) ? bs58.encode(found.in.subarray(found.at, found.at + ADDRESS_BYTES)) : "",
      );
    }
    return JSON.stringify(texts);
  }

  /** The table of a dataset in the batch at hand. */
  table(spec: DatasetSpec): TableBuilder {
    let builder = this.builders.get(spec.name);
    if (builder === undefined) {
      builder = new TableBuilder(spec, Math.max(CAPACITY_MIN, Math.ceil((this.rowsBefore.get(spec.name) ?? 0) * 1.25)));
      this.builders.set(spec.name, builder);
    }
    return builder;
  }
}

/** Fills the columns of `EVENT_COLUMNS`, in their order. */
export function appendPlace(columns: TableBuilder["columns"], place: Place, mint: Found | null): void {
  columns[0]!.number(place.slot);
  columns[1]!.number(place.time);
  columns[2]!.number(place.txIndex);
  columns[3]!.number(place.eventIndex);
  columns[4]!.bytes(place.signatureIn, place.signatureAt, place.signatureAt + SIGNATURE_BYTES);
  columns[5]!.bytes(place.path);
  columns[6]!.number(place.ordinal);
  columns[7]!.bytes(place.program);
  if (mint === null) columns[8]!.null();
  else columns[8]!.bytes(mint.in, mint.at, mint.at + ADDRESS_BYTES);
}

function reportOf(place: Place, mint: Found | null, trade: TradeWriter, bytes: Uint8Array): Omit<ReportedTrade, "row"> {
  const venue = trade.venue(bytes);
  return {
    mint: mint === null ? "" : addressKey(mint.in, mint.at),
    isBuy: trade.isBuy(bytes),
    base: trade.baseAmount(bytes),
    program: addressKey(place.program, 0),
    venue: venue === null ? null : venue === "unnamed" ? "" : addressKey(venue.in, venue.at),
  };
}

function addressKey(bytes: Uint8Array, at: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, ADDRESS_BYTES).toString("latin1");
}
