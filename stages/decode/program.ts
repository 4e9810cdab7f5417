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
  /** What names the token an event belongs to; becomes the common column `mint`. */
  readonly mintField?: string;
  readonly events: readonly EventSpec[];
  /** Instructions with rows of their own, and those that only lend names to their accounts. */
  readonly instructions?: readonly InstructionSpec[];
  /** What the data of an instruction begins with that is a list of instructions: each is read as if it stood alone. */
  readonly batch?: number;
  /** Events of the program that nobody asked for: counted apart from truly unknown ones. */
  readonly unwanted?: readonly EventName[];
}

/**
 * What names a token: a field of the event by its path, `accounts.NAME` of the instruction that emitted it, `signer`; or
 * two of these, of which the one counts that is not a currency (SOL, USDC, USDT), and the second where that does not decide.
 */
export type MintRule = string | readonly [string, string];

/** One discriminator of an instruction: what its data begins with, and what it then means. */
export interface InstructionForm {
  readonly discriminator: readonly number[];
  /** Names in the order of the accounts. */
  readonly accounts: readonly string[];
  /** After these, the accounts of as many groups as there were given: one for each hop of a route. */
  readonly groups?: AccountGroups;
  /** Layouts of the arguments seen on chain. */
  readonly layouts: readonly (readonly BorshField[])[];
}

/** An event is of the group whose account of that name is the one that the event names in its field `key`. */
export interface AccountGroups {
  readonly accounts: readonly string[];
  /** One of `accounts`, and a field of the event. */
  readonly key: string;
}

export interface InstructionSpec {
  readonly name: string;
  readonly doc?: string;
  /** Dataset of its rows; absent: it has none. */
  readonly dataset?: string;
  /** The argument or account that names the token. */
  readonly mint?: string;
  /** Token accounts, whose token stands in where `mint` does not say. */
  readonly tokenAccounts?: readonly string[];
  /** More than one where several instructions share a dataset. */
  readonly forms: readonly InstructionForm[];
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
  /** Overrides the program's; null: the event belongs to no token. */
  readonly mintField?: MintRule | null;
  /**
   * Every layout seen on chain under this discriminator. The dataset has the union of their columns, in the order listed;
   * a column that some layout lacks is nullable. List new layouts last to keep the order of an existing dataset.
   */
  readonly layouts: readonly (readonly BorshField[])[];
  /** Other events that say the same: their rows are of the same dataset, with the same mint field and trade mapping. */
  readonly also?: readonly EventForm[];
  readonly trade?: TradeMapping;
}

export interface EventForm extends EventName {
  /** The event is one list, and each element of it a row. Elements have a fixed size. */
  readonly list?: true;
  /** Of an element, where it is a list. */
  readonly layouts: readonly (readonly BorshField[])[];
}

/** How an event makes a row of `trades`: of one token that has its price in SOL, or of a swap between two tokens. */
export type TradeMapping = TokenTrade | SwapTrade;

/** Fields are named by path, and every layout must have them. */
export interface TokenTrade {
  /** The name of the dataset when absent. */
  readonly kind?: string;
  /** An address; a field, `accounts.NAME` or `signer`. */
  readonly user: string;
  /** A bool field, a constant, or a field without payload whose variant `equals` means a buy. Absent: not a swap. */
  readonly isBuy?: string | boolean | { readonly field: string; readonly equals: string };
  /** Unsigned integers up to u64. Absent: the event is not volume. */
  readonly baseAmount?: string;
  readonly quoteAmount?: string;
  readonly price: PriceMapping;
  /** The field that names the quote token: without wrapped SOL or the zero key in it, there is no trade. Layouts may lack it. */
  readonly quoteMint?: string;
}

/**
 * A swap that makes a trade when one side is wrapped SOL; the other is its token. The price is the ratio of the amounts, with
 * the decimals that the transaction's token balances tell.
 */
export interface SwapTrade {
  readonly kind?: string;
  /** A field, `accounts.NAME` or `signer`; of several the first that is there. */
  readonly user: string | readonly string[];
  readonly input: SwapSide;
  readonly output: SwapSide;
  /** Where this field has that variant, the two mints change places; the amounts do not. */
  readonly reversed?: { readonly field: string; readonly equals: string };
  /** The token's decimals where the transaction does not tell. Absent: then there is no trade. */
  readonly decimals?: number;
  /**
   * Makes this an aggregator's report: the field with the program that did the swap. When that program, or another that
   * reports the same token, side and amount, has a trade in the transaction, this one is left out of `trades`. Layouts may
   * lack it.
   */
  readonly venue?: string;
}

export interface SwapSide {
  /** A field, or `accounts.NAME`. */
  readonly mint: string;
  /** An unsigned integer of at most 64 bits. */
  readonly amount: string;
}

/**
 * Price of one whole base token in whole quote tokens: a field that is already an integer multiple of 1e-28, or the ratio
 * of two unsigned fields in base units of the given decimals, rounded down. `baseMint` names the base token where those of its
 * decimals count that the transaction's token balances tell; `baseDecimals` is then for where they do not.
 */
export type PriceMapping =
  | string
  | {
      readonly quote: string;
      readonly base: string;
      readonly quoteDecimals: number;
      readonly baseDecimals: number;
      /** A field, or `accounts.NAME`. */
      readonly baseMint?: string;
    };

/** Dataset of an event: its name without a trailing "Event", in snake_case, unless it names another. */
export function datasetName(event: Pick<EventSpec, "name" | "dataset">): string {
  return event.dataset ?? snakeCase(event.name.replace(/Event$/, "") || event.name);
}
