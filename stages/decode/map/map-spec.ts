/**
 * Outputs of any Substreams module as rows, as data: which repeated field makes rows, what they inherit, what names their
 * token. The message types come from the descriptors in the package, so no code is generated.
 */
import type { MessageType } from "@bufbuild/protobuf";
import type { ColumnType } from "../../../pipeline/datasets/dataset.ts";

/** How bytes are written into text columns, of more than 256 as "0x" and hex instead of base58; raw: they stay bytes. */
export type BytesForm = "base58" | "hex" | "raw";

export interface MapSpec {
  /** Type of the module's output; its `typeName` says which outputs this is for. */
  readonly type: MessageType;
  readonly datasets: readonly MapDataset[];
}

export interface MapDataset {
  readonly dataset: string;
  readonly doc?: string;
  /**
   * Fields from the output down to the message that makes a row, separated by dots: repeated ones make a row for each
   * element, single ones and cases of a oneof one where they are set. Empty: the output itself.
   */
  readonly rows: string;
  /** Fields of the messages above, by path from the output: "transactions.signature". */
  readonly parents?: readonly string[];
  /** Fields of the row message to leave out, by path from it. */
  readonly omit?: readonly string[];
  readonly bytes?: BytesForm;
  /** Overrides `bytes`, by path from the row message, or by that of a parent. */
  readonly bytesOf?: Readonly<Record<string, BytesForm>>;
  /** Paths are those of the row message; those of a parent begin at the output. */
  readonly mint?: MapMint;
  readonly signature?: string;
  readonly program?: string;
  /** Fields that tell the instruction; joined by dots they become the common column. */
  readonly instructionPath?: readonly string[];
  readonly trade?: MapTrade;
  /** Of `sf.substreams.sink.database.v1.DatabaseChanges`: the table whose changes make the rows, and its typed columns. */
  readonly table?: { readonly name: string; readonly columns: Readonly<Record<string, ColumnType>> };
}

/** Of two tokens: the one that is not a currency (SOL, USDC, USDT), the first, the second, or a row for each. */
export type MapMint =
  | string
  | { readonly of: readonly [string, string]; readonly rule: "token" | "first" | "second" | "both" };

/** A swap; it makes a trade when one side is wrapped SOL. */
export interface MapTrade {
  readonly kind?: string;
  readonly user: string;
  readonly input: { readonly mint: string; readonly amount: string };
  readonly output: { readonly mint: string; readonly amount: string };
  /** Decimals of tokens, unless `decimalsOf` has them by address: the output does not tell. */
  readonly decimals: number;
  readonly decimalsOf?: Readonly<Record<string, number>>;
  /** Field with the program that did the swap, and those programs that are aggregators: they repeat what pools report. */
  readonly venue?: string;
  readonly aggregators?: readonly string[];
  /** Other reports do not say whether a pool or an aggregator made them: equal ones of a transaction are one swap, told twice. */
  readonly unattributed?: boolean;
}
