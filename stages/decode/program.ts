/**
 * A program to decode, as data: its address, its events with every layout they have had on chain, and what in them is a
 * trade. Presets (`programs/`) and Anchor IDLs (`idl.ts`) both end here; adding a program is writing one of these.
 */
import type { BorshField } from "./borsh.ts";
import { snakeCase } from "./names.ts";

export interface ProgramSpec {
  /** Short name for metrics and messages: "spinpet". */
  readonly name: string;
  /** Address, base58. */
  readonly programId: string;
  /** Field that names the token an event belongs to; becomes the common column `mint`. */
  readonly mintField?: string;
  readonly events: readonly EventSpec[];
  /** Events of the program that nobody asked for: counted apart from truly unknown ones. */
  readonly unwanted?: readonly EventName[];
}

export interface EventName {
  /** As the program hashes it: "BuySellEvent". */
  readonly name: string;
  /** Eight bytes; sha256("event:<name>")[0..8] when absent. */
  readonly discriminator?: readonly number[];
}

export interface EventSpec extends EventName {
  /** Dataset of its rows; snake_case of the name without a trailing "Event" when absent. */
  readonly dataset?: string;
  /** Version of the dataset; 1 when absent. */
  readonly version?: number;
  readonly doc?: string;
  /** Overrides the program's field; null: the event belongs to no token. */
  readonly mintField?: string | null;
  /**
   * Every layout seen on chain under this discriminator. The dataset has the union of their columns, in the order listed;
   * a column that some layout lacks is nullable. List new layouts last to keep the order of an existing dataset.
   */
  readonly layouts: readonly (readonly BorshField[])[];
  readonly trade?: TradeMapping;
}

/** Which fields of an event make a row of `trades`. Fields are named by path, and every layout must have them. */
export interface TradeMapping {
  /** The name of the dataset when absent. */
  readonly kind?: string;
  /** An address. */
  readonly user: string;
  /** A bool field, a constant, or a field without payload whose variant `equals` means a buy. Absent: not a swap. */
  readonly isBuy?: string | boolean | { readonly field: string; readonly equals: string };
  /** Unsigned integers up to u64. Absent: the event is not volume. */
  readonly baseAmount?: string;
  readonly quoteAmount?: string;
  readonly price: PriceMapping;
}

/**
 * Price of one whole base token in whole quote tokens: a field that is already an integer multiple of 1e-28, or the ratio
 * of two unsigned fields in base units of the given decimals, rounded down.
 */
export type PriceMapping =
  | string
  | {
      readonly quote: string;
      readonly base: string;
      readonly quoteDecimals: number;
      readonly baseDecimals: number;
    };

/** Dataset of an event: its name without a trailing "Event", in snake_case, unless it names another. */
export function datasetName(event: Pick<EventSpec, "name" | "dataset">): string {
  return event.dataset ?? snakeCase(event.name.replace(/Event$/, "") || event.name);
}
