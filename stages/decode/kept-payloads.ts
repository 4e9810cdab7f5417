/**
 * Payloads that were kept in quarantine, read again by a decoder that knows more by now. Each becomes what the pipeline would
 * have made of it, rows or quarantine again, at the place it came from. Only of events that say all about themselves: what
 * takes its token, user or price from the transaction around it needs the block.
 */
import type { QuarantineReason } from "../../pipeline/datasets/quarantine.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { isOutside } from "./address-source.ts";
import { BlockReader } from "./block-reader.ts";
import { emptyProgramHealth } from "./health.ts";
import type { EventSpec, MintRule, ProgramSpec } from "./program.ts";
import { DISCRIMINATOR_BYTES, discriminatorOf, ProgramDecoder } from "./program-decoder.ts";
import { ProgramSet } from "./program-set.ts";
import { MAX_QUARANTINED_BYTES, RowWriter } from "./row-writer.ts";
import { Surroundings } from "./surroundings.ts";
import { asksBalances } from "./trade-mapping.ts";
import { TransactionDecoder } from "./transaction-decoder.ts";

/** Payloads set aside for these reasons are whole events. */
const REASONS: ReadonlySet<string> = new Set<QuarantineReason>(["unknown_length", "bad_value", "bytes_left_over"]);

export interface ReadAgain {
  /** What became of them, by dataset; what is still not understood is in `quarantine`. */
  readonly tables: ReadonlyMap<string, Table>;
  /** Rows of the table handed in that were read again: what was made of them before is void. */
  readonly rows: readonly number[];
  /** Payloads of the program that need their block. */
  readonly needBlock: number;
  /** Events understood now, to the last byte. */
  readonly healed: number;
}

export class KeptPayloads {
  private readonly program: ProgramDecoder;
  private readonly health = emptyProgramHealth();
  private readonly writer: RowWriter;
  private readonly decoder: TransactionDecoder;
  /** Discriminators, hex, of events that need what surrounds them. */
  private readonly outside: ReadonlySet<string>;

  constructor(spec: ProgramSpec) {
    this.program = new ProgramDecoder(spec);
    const set = new ProgramSet([this.program.id]);
    const reader = new BlockReader(set, { balances: false });
    const around = new Surroundings(reader, [this.program]);
    this.writer = new RowWriter(around, false);
    this.decoder = new TransactionDecoder(reader, set, [this.program], [this.health], this.writer, around, true);
    this.outside = new Set(
      spec.events.flatMap((event) => {
        const needs = needsOutside(event, spec.mintField);
        const forms = [event, ...(event.also ?? [])].filter((form) => needs || ("list" in form && form.list === true));
        return forms.map((form) => Buffer.from(discriminatorOf(form, spec.name)).toString("hex"));
      }),
    );
  }

  /** `kept`: rows of `quarantine`, of any program. */
  read(kept: Table): ReadAgain {
    this.writer.clear();
    const [program, reason, discriminator, payload] = ["program", "reason", "discriminator", "payload"].map((name) =>
      kept.column(name),
    ) as [Table["columns"][0], Table["columns"][0], Table["columns"][0], Table["columns"][0]];
    const rows: number[] = [];
    let needBlock = 0;
    const leftBefore = this.notUnderstood();
    for (let row = 0; row < kept.length; row++) {
      if (Buffer.compare(program.bytes(row), this.program.id) !== 0) continue;
      const bytes = payload.bytes(row);
      const isEvent = !discriminator.isNull(row) && REASONS.has(reason.string(row));
      if (!isEvent || bytes.length < DISCRIMINATOR_BYTES || bytes.length >= MAX_QUARANTINED_BYTES) {
        needBlock++;
        continue;
      }
      if (this.outside.has(Buffer.from(discriminator.bytes(row)).toString("hex"))) {
        needBlock++;
        continue;
      }
      // An event that is not configured any more stays as it is.
      if (this.program.find(bytes, 0) == null) continue;
      rows.push(row);
      this.decoder.decodePayload(1, bytes, 0, bytes.length, placeOf(kept, row, this.program.id));
    }
    const healed = rows.length - (this.notUnderstood() - leftBefore);
    return { tables: this.writer.finish(), rows, needBlock, healed };
  }

  private notUnderstood(): number {
    const { unknownLength, badValue, eventsWithBytesLeftOver } = this.health;
    return unknownLength + badValue + eventsWithBytesLeftOver;
  }
}

function placeOf(kept: Table, row: number, program: Uint8Array) {
  const number = (name: string) => kept.column(name).number(row);
  return {
    slot: number("slot"),
    time: number("block_time"),
    txIndex: number("tx_index"),
    eventIndex: number("event_index"),
    signatureIn: kept.column("signature").bytes(row),
    signatureAt: 0,
    path: kept.column("instruction_path").bytes(row),
    ordinal: number("ordinal"),
    program,
  };
}

function needsOutside(event: EventSpec, programMint: MintRule | undefined): boolean {
  const mint = event.mintField === undefined ? programMint : (event.mintField ?? undefined);
  const names = [mint ?? [], event.trade?.user ?? []].flat();
  return names.some(isOutside) || (event.trade !== undefined && asksBalances(event.trade));
}
