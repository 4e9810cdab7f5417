/** What travels between stages, in memory. `message.ts` puts it on the wire. */
import type { DatasetSpec } from "../datasets/dataset.ts";
import type { BlockMeta, Position } from "../position.ts";
import type { Message } from "./message.ts";
import type { Table } from "./table.ts";

/** Raw blocks as the source delivered them: `payloads[i]` is the module's output for `blocks[i]`. */
export interface BlockBatch {
  readonly blocks: readonly BlockMeta[];
  /** Type of every payload, for example "sf.substreams.solana.v1.Transactions". */
  readonly typeName: string;
  readonly payloads: readonly Uint8Array[];
}

/** Typed rows of any number of datasets, in chain order. Datasets without rows are left out. */
export interface RowBatch {
  readonly blocks: readonly BlockMeta[];
  readonly tables: ReadonlyMap<string, Table>;
  /** The message it was read from, where it still says exactly this: passing it on then costs no encoding. */
  readonly wire?: Message;
}

/** Batches form a chain: `prev` is where the stream stood before this one; an undo travels in order with the data. */
export type Signal<Body> =
  | {
      readonly kind: "data";
      readonly prev: Position | null;
      /** Position after the batch: its last block. */
      readonly next: Position;
      readonly finalSlot: number;
      readonly body: Body;
    }
  | {
      readonly kind: "undo";
      readonly prev: Position | null;
      /** The last valid block: everything above it is taken back. It need not be a block that was ever delivered. */
      readonly next: Position;
      readonly finalSlot: number;
    }
  | {
      /** A bounded range is complete: nothing will follow. */
      readonly kind: "end";
      readonly prev: Position | null;
      readonly next: Position;
      readonly finalSlot: number;
    };

/** Datasets known to a deployment, by name. Built once from the configuration. */
export type DatasetCatalog = ReadonlyMap<string, DatasetSpec>;
