/**
 * Our decoder, as the decode stage uses it: base64 text to values in the columns of the events' tables. The columns that every
 * event has besides (slot, signature, path) are left out: the libraries know nothing of them.
 */
import bs58 from "bs58";
import type { ColumnSpec, DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { type Table, TableBuilder } from "../../pipeline/wire/table.ts";
import { decodeBase64 } from "../../stages/decode/base64.ts";
import type { EventDecoder } from "../../stages/decode/event-decoder.ts";
import type { ProgramSpec } from "../../stages/decode/program.ts";
import { DISCRIMINATOR_BYTES, ProgramDecoder } from "../../stages/decode/program-decoder.ts";
import type { Decoder } from "./contender.ts";
import { canonical } from "./events.ts";

export class OurDecoder implements Decoder {
  private readonly spec: ProgramSpec;
  private readonly program: ProgramDecoder;
  private readonly texts: readonly Uint8Array[];
  private readonly scratch = new Uint8Array(4096);
  private readonly specs: ReadonlyMap<EventDecoder, DatasetSpec>;
  private builders = new Map<EventDecoder, TableBuilder>();

  constructor(spec: ProgramSpec, payloads: readonly string[]) {
    this.spec = spec;
    this.program = new ProgramDecoder(spec);
    this.texts = payloads.map((text) => new TextEncoder().encode(text));
    this.specs = new Map(this.program.events.map((event) => [event, fieldsOnly(event, spec)]));
  }

  pass(): number {
    this.begin();
    for (const text of this.texts) this.decode(text);
    let sum = 0;
    for (const builder of this.builders.values()) sum += builder.finish().length;
    return sum;
  }

  lines(): string[] {
    this.begin();
    const order = this.texts.map((text) => this.decode(text));
    const tables = new Map([...this.builders].map(([event, builder]) => [event, builder.finish()]));
    const next = new Map<EventDecoder, number>();
    return order.map((event) => {
      const row = next.get(event) ?? 0;
      next.set(event, row + 1);
      const { layouts } = this.spec.events.find(({ name }) => name === event.name)!;
      return canonical(event.name, layouts[0]!, (field) => cellText(tables.get(event)!, row, field));
    });
  }

  /** New tables, with room for as many rows as the last batch had: so does the decode stage. */
  private begin(): void {
    const before = this.builders;
    this.builders = new Map(
      [...this.specs].map(([event, spec]) => [
        event,
        new TableBuilder(spec, Math.max(64, before.get(event)?.length ?? 0)),
      ]),
    );
  }

  private decode(text: Uint8Array): EventDecoder {
    const { scratch } = this;
    const end = decodeBase64(text, 0, text.length, scratch, 0);
    const event = this.program.find(scratch, 0)!;
    const chosen = event.choose(scratch, DISCRIMINATOR_BYTES, end);
    if (typeof chosen === "number") throw new Error(`${event.name} does not decode`);
    const { columns } = this.builders.get(event)!;
    for (let leaf = 0; leaf < columns.length; leaf++) chosen.layout.append(leaf, scratch, columns[leaf]!);
    return event;
  }
}

/** The event's own fields, in their order. */
function fieldsOnly({ name, dataset }: EventDecoder, spec: ProgramSpec): DatasetSpec {
  const [fields] = spec.events.find((event) => event.name === name)!.layouts;
  const columns = fields!.map((field): ColumnSpec => {
    const column = dataset.columns.find((c) => (c.field ?? c.name) === field.name)!;
    return { ...column, name: field.name, nullable: true };
  });
  return { ...dataset, columns };
}

function cellText(table: Table, row: number, field: string): unknown {
  const cell = table.column(field).cell(row);
  return cell instanceof Uint8Array ? bs58.encode(cell) : cell;
}
