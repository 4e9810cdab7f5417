/** Our decoder, as the decode stage uses it: base64 text to rows of the events' columnar tables. */
import bs58 from "bs58";
import type { Table } from "../../pipeline/wire/table.ts";
import { decodeBase64 } from "../../stages/decode/base64.ts";
import { BlockReader } from "../../stages/decode/block-reader.ts";
import type { EventDecoder } from "../../stages/decode/event-decoder.ts";
import type { ProgramSpec } from "../../stages/decode/program.ts";
import { DISCRIMINATOR_BYTES, ProgramDecoder } from "../../stages/decode/program-decoder.ts";
import { ProgramSet } from "../../stages/decode/program-set.ts";
import { type Place, RowWriter } from "../../stages/decode/row-writer.ts";
import { Surroundings } from "../../stages/decode/surroundings.ts";
import type { Decoder } from "./contender.ts";
import { canonical } from "./events.ts";

const PLACE: Place = {
  ...{ slot: 1, time: 1, txIndex: 0, eventIndex: 0, signatureAt: 0, ordinal: 0 },
  ...{ signatureIn: new Uint8Array(64), path: Uint8Array.of(0x30), program: new Uint8Array(32) },
};

export class OurDecoder implements Decoder {
  private readonly spec: ProgramSpec;
  private readonly program: ProgramDecoder;
  private readonly lines64: readonly Uint8Array[];
  private readonly writer: RowWriter;
  private readonly scratch = new Uint8Array(4096);

  constructor(spec: ProgramSpec, payloads: readonly string[]) {
    this.spec = spec;
    this.program = new ProgramDecoder(spec);
    this.lines64 = payloads.map((text) => new TextEncoder().encode(text));
    const reader = new BlockReader(new ProgramSet([this.program.id]));
    this.writer = new RowWriter(new Surroundings(reader, [this.program]), false);
  }

  pass(): number {
    this.writer.clear();
    let sum = 0;
    for (const line of this.lines64) if (this.decode(line) !== null) sum++;
    for (const table of this.writer.finish().values()) sum += table.length;
    return sum;
  }

  lines(): string[] {
    this.writer.clear();
    const order = this.lines64.map((line) => this.decode(line)!);
    const tables = this.writer.finish();
    const next = new Map<string, number>();
    return order.map(({ name, dataset }) => {
      const row = next.get(dataset.name) ?? 0;
      next.set(dataset.name, row + 1);
      const { layouts } = this.spec.events.find((event) => event.name === name)!;
      return canonical(name, layouts[0]!, (field) => cellText(tables.get(dataset.name)!, row, field));
    });
  }

  private decode(line: Uint8Array): EventDecoder | null {
    const end = decodeBase64(line, 0, line.length, this.scratch, 0);
    const event = this.program.find(this.scratch, 0);
    if (event === undefined || event === null) return null;
    const layout = event.choose(this.scratch, DISCRIMINATOR_BYTES, end);
    if (typeof layout === "number") return null;
    this.writer.event(PLACE, event, layout, this.scratch);
    return event;
  }
}

function cellText(table: Table, row: number, field: string): unknown {
  const cell = table.columns.find(({ spec }) => (spec.field ?? spec.name) === field)!.cell(row);
  return cell instanceof Uint8Array ? bs58.encode(cell) : cell;
}
