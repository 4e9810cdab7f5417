/**
 * Decode: raw blocks to typed rows. Stateless: what a block yields depends on its bytes alone, so the same batch gives the
 * same rows wherever and whenever it is decoded. Bad data never stops it: what cannot be decoded becomes a row of
 * `quarantine` with its bytes and its reason, and is counted.
 */
import type { AlarmRules } from "../../pipeline/alarm.ts";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { classify, describe } from "../../pipeline/errors.ts";
import type { BlockMeta } from "../../pipeline/position.ts";
import type { BlockBatch, DatasetCatalog, RowBatch } from "../../pipeline/wire/batch.ts";
import type { Stage } from "../stage.ts";
import { BlockReader, SIGNATURE_BYTES } from "./block-reader.ts";
import { catalogOf, requireDistinct } from "./catalog.ts";
import { type DatasetHealth, type DecodeHealth, emptyProgramHealth, type ProgramHealth, sumOf } from "./health.ts";
import { MapDecoder } from "./map/map-decoder.ts";
import type { MapSpec } from "./map/map-spec.ts";
import type { ProgramSpec } from "./program.ts";
import { ProgramDecoder } from "./program-decoder.ts";
import { ADDRESS_BYTES, ProgramSet } from "./program-set.ts";
import { type Place, RowWriter } from "./row-writer.ts";
import { Surroundings } from "./surroundings.ts";
import { asksBalances } from "./trade-mapping.ts";
import { TransactionDecoder } from "./transaction-decoder.ts";
import { DecodeWatch, type Watched, type WatchedCounts } from "./watch.ts";

export interface DecodeOptions {
  readonly programs: readonly ProgramSpec[];
  /** Outputs that are not blocks of transactions, by the type of the module's output. */
  readonly maps?: readonly MapSpec[];
  /** Decode transactions that failed on chain, too. Their effects never happened, so the default is false. */
  readonly failedTransactions?: boolean;
  /** Keep the bytes of events that are longer than every known layout. Default true. */
  readonly keepLonger?: boolean;
  readonly alarmRules?: AlarmRules;
}

const NOWHERE = new Uint8Array(SIGNATURE_BYTES);
const NO_PROGRAM = new Uint8Array(ADDRESS_BYTES);
const NO_PATH = new Uint8Array(0);

export class DecodeStage implements Stage<BlockBatch, RowBatch> {
  readonly name = "decode";
  /** The datasets whose rows this stage makes. */
  readonly catalog: DatasetCatalog;
  private readonly programs: readonly ProgramDecoder[];
  private readonly maps: ReadonlyMap<string, MapDecoder>;
  /** What is wrong with the decoders, by block time. */
  readonly watch: DecodeWatch;
  private readonly mapHealth = new Map<string, ProgramHealth>();
  private readonly failedTransactions: boolean;
  private readonly programHealth: readonly ProgramHealth[];
  private readonly reader: BlockReader;
  private readonly around: Surroundings;
  private readonly writer: RowWriter;
  private readonly transactions: TransactionDecoder;
  private blocks = 0;
  private badBlocks = 0;

  /** Throws `Fatal` when a program's description contradicts itself. */
  constructor(options: DecodeOptions) {
    requireDistinct(options.programs);
    this.programs = options.programs.map((spec) => new ProgramDecoder(spec));
    const maps = (options.maps ?? []).map((spec) => new MapDecoder(spec));
    this.maps = new Map(maps.map((map) => [map.typeName, map]));
    for (const { typeName } of maps) this.mapHealth.set(typeName, emptyProgramHealth());
    this.catalog = catalogOf(this.programs, maps);
    this.failedTransactions = options.failedTransactions === true;
    this.programHealth = this.programs.map(emptyProgramHealth);
    const set = new ProgramSet(this.programs.map((program) => program.id));
    const { reader, around, writer } = this.partsFor(set, options);
    this.reader = reader;
    this.around = around;
    this.writer = writer;
    this.transactions = new TransactionDecoder(
      reader,
      set,
      this.programs,
      this.programHealth,
      writer,
      around,
      options.keepLonger !== false,
    );
    this.watch = new DecodeWatch(this.watched(), options.alarmRules);
  }

  /** Throws only what is not the data's fault: `Fatal` when the module's output is of a type that is not read here. */
  apply(batch: BlockBatch): RowBatch {
    this.writer.clear();
    batch.blocks.forEach((block, i) => {
      this.decodeBlock(block, batch.payloads[i]!, batch.typeName);
      this.watch.block(block.slot, block.time);
    });
    return { blocks: batch.blocks, tables: this.writer.finish() };
  }

  /** A copy of the counters as they stand. */
  health(): DecodeHealth {
    return {
      blocks: this.blocks,
      badBlocks: this.badBlocks,
      unattributedData: this.transactions.unattributedData,
      programs: Object.fromEntries(
        this.sources().map(({ name, health, datasets }) => [
          name,
          {
            ...health,
            shares: this.watch.shares(name, null),
            datasets: Object.fromEntries(
              Array.from(datasets, ([dataset, parts]) => [
                dataset,
                { ...sumOf(parts), shares: this.watch.shares(name, dataset) },
              ]),
            ),
          },
        ]),
      ),
      alarms: this.watch.alarms,
    };
  }

  /** Programs and mapped outputs; several events may fill one dataset. */
  private sources(): { name: string; health: ProgramHealth; datasets: Map<string, DatasetHealth[]> }[] {
    const byDataset = (parts: readonly { dataset: DatasetSpec | null; health: DatasetHealth }[]) => {
      const datasets = new Map<string, DatasetHealth[]>();
      for (const { dataset, health } of parts) {
        if (dataset !== null) datasets.set(dataset.name, [...(datasets.get(dataset.name) ?? []), health]);
      }
      return datasets;
    };
    const programs = this.programs.map(({ name, events, instructions }, i) => ({
      name,
      health: this.programHealth[i]!,
      datasets: byDataset([...events, ...instructions]),
    }));
    const maps = [...this.maps.values()].map(({ typeName, datasets }) => ({
      name: typeName,
      health: this.mapHealth.get(typeName)!,
      datasets: byDataset(datasets),
    }));
    return [...programs, ...maps];
  }

  private watched(): Watched[] {
    return this.sources().flatMap(({ name: program, health, datasets }) => [
      {
        program,
        dataset: null,
        counts: () => ({ ...watchedCounts(health), understood: health.decoded + health.unwanted }),
      },
      ...Array.from(datasets, ([dataset, parts]) => {
        // Whoever calls a program may append bytes to its arguments: that tells nothing of the program.
        const free = this.programs.some(({ instructions }) => instructions.some((i) => i.dataset?.name === dataset));
        const counts = () => {
          const counted = watchedCounts(sumOf(parts));
          return free ? { ...counted, grown: 0 } : counted;
        };
        return { program, dataset, counts };
      }),
    ]);
  }

  private partsFor(set: ProgramSet, { programs, maps = [] }: DecodeOptions) {
    const reader = new BlockReader(set, { balances: programs.some(needsBalances) });
    const around = new Surroundings(reader, this.programs);
    const aggregators =
      this.programs.some(({ events }) => events.some(({ isAggregator }) => isAggregator)) ||
      maps.some(({ datasets }) =>
        datasets.some(({ trade }) => trade?.aggregators !== undefined || trade?.unattributed === true),
      );
    return { reader, around, writer: new RowWriter(around, aggregators) };
  }

  private decodeBlock(block: BlockMeta, payload: Uint8Array, typeName: string): void {
    const place = startOf(block);
    const map = this.maps.get(typeName);
    if (map !== undefined) {
      this.mapBlock(map, place, payload);
      return;
    }
    const readable = this.readBlock(place, payload, typeName);
    this.blocks++;
    if (!readable) return;
    const reader = this.reader;
    this.around.startBlock();
    place.signatureIn = reader.bytes;
    for (let t = 0; t < reader.transactions; t++) {
      if (reader.txFailed.at(t) === 1 && !this.failedTransactions) {
        this.countFailed(t);
        continue;
      }
      place.txIndex = reader.txIndex.at(t);
      place.signatureAt = reader.txSignature.at(t);
      this.transactions.decode(t, place);
    }
  }

  private readBlock(place: Place, payload: Uint8Array, typeName: string): boolean {
    try {
      this.reader.read(payload, typeName);
      return true;
    } catch (error) {
      this.setAside(error, place, payload);
      return false;
    }
  }

  private mapBlock(map: MapDecoder, place: Place, payload: Uint8Array): void {
    this.blocks++;
    try {
      map.decode(payload, place, this.writer, this.mapHealth.get(map.typeName)!);
    } catch (error) {
      this.setAside(error, place, payload);
    }
  }

  /** A block that cannot be read is kept with its bytes; what is not the block's fault is thrown. */
  private setAside(error: unknown, place: Place, payload: Uint8Array): void {
    const e = classify(error);
    if (e.kind !== "poison") throw e;
    this.badBlocks++;
    const detail = describe(e).split("\n", 1)[0]!;
    this.writer.quarantine(place, "bad_block", detail, payload, 0, payload.length, false);
  }

  private countFailed(t: number): void {
    const { keyFrom, keyProgram } = this.reader;
    for (let k = keyFrom.at(t); k < keyFrom.at(t + 1); k++) {
      const program = keyProgram.at(k);
      if (program !== 0) this.programHealth[program - 1]!.failedSkipped++;
    }
  }
}

function watchedCounts(health: Omit<DatasetHealth, "lastDecodedSlot">): WatchedCounts {
  const { seen, decoded, eventsWithBytesLeftOver, unknownLength, badValue } = health;
  return { seen, understood: decoded, grown: eventsWithBytesLeftOver, misfit: unknownLength + badValue };
}

/** Swaps take decimals from the transaction's token balances, token accounts their mint. */
function needsBalances({ events, instructions = [] }: ProgramSpec): boolean {
  return (
    events.some(({ trade }) => trade !== undefined && asksBalances(trade)) ||
    instructions.some(({ tokenAccounts }) => tokenAccounts !== undefined)
  );
}

function startOf(block: BlockMeta): Place {
  return {
    slot: block.slot,
    time: block.time,
    txIndex: 0,
    eventIndex: 0,
    signatureIn: NOWHERE,
    signatureAt: 0,
    path: NO_PATH,
    ordinal: 0,
    program: NO_PROGRAM,
  };
}
