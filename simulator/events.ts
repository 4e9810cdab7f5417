/**
 * The seven events of the spinpet program as its IDL (Anchor spec 0.1.0) lays them out: Borsh, little endian, behind the
 * first eight bytes of sha256("event:<Name>"). One table gives layout, types and the order of fields in canonical lines.
 */
import { createHash } from "node:crypto";
import type { Account } from "./accounts.ts";

type FieldType = "pubkey" | "bool" | "u8" | "u16" | "u32" | "u64" | "u128" | "string";
type Field = readonly [name: string, type: FieldType];

const ORDER = [
  ["order_type", "u8"],
  ["mint", "pubkey"],
  ["user", "pubkey"],
  ["lock_lp_start_price", "u128"],
  ["lock_lp_end_price", "u128"],
  ["lock_lp_sol_amount", "u64"],
  ["lock_lp_token_amount", "u64"],
  ["start_time", "u32"],
  ["end_time", "u32"],
  ["margin_sol_amount", "u64"],
  ["borrow_amount", "u64"],
  ["position_asset_amount", "u64"],
  ["borrow_fee", "u16"],
] as const;

const CLOSE = [
  ["payer", "pubkey"],
  ["user_sol_account", "pubkey"],
  ["mint_account", "pubkey"],
  ["is_close_long", "bool"],
  ["final_token_amount", "u64"],
  ["final_sol_amount", "u64"],
  ["user_close_profit", "u64"],
  ["latest_price", "u128"],
  ["order_pda", "pubkey"],
] as const;

const NAMES = [
  ["name", "string"],
  ["symbol", "string"],
  ["uri", "string"],
] as const;

const FEES = [
  ["swap_fee", "u16"],
  ["borrow_fee", "u16"],
  ["fee_discount_flag", "u8"],
] as const;

const CREATED = [
  ["payer", "pubkey"],
  ["mint_account", "pubkey"],
  ["curve_account", "pubkey"],
] as const;

/** Field layouts in Borsh order. `token_created_v0` is the older body that travels under the same discriminator. */
export const LAYOUTS = {
  token_created: [
    ...CREATED,
    ["pool_token_account", "pubkey"],
    ["pool_sol_account", "pubkey"],
    ["fee_recipient", "pubkey"],
    ["base_fee_recipient", "pubkey"],
    ["params_account", "pubkey"],
    ...FEES,
    ...NAMES,
  ],
  token_created_v0: [...CREATED, ...NAMES],
  buy_sell: [
    ["payer", "pubkey"],
    ["mint_account", "pubkey"],
    ["is_buy", "bool"],
    ["token_amount", "u64"],
    ["sol_amount", "u64"],
    ["latest_price", "u128"],
  ],
  long_short: [
    ["payer", "pubkey"],
    ["mint_account", "pubkey"],
    ["order_pda", "pubkey"],
    ["latest_price", "u128"],
    ...ORDER,
  ],
  force_liquidate: [
    ["payer", "pubkey"],
    ["mint_account", "pubkey"],
    ["order_pda", "pubkey"],
  ],
  full_close: CLOSE,
  partial_close: [...CLOSE, ...ORDER],
  milestone_discount: [...CREATED, ...FEES],
} as const satisfies Record<string, readonly Field[]>;

export type EventKind = keyof typeof LAYOUTS;

type ValueOf<T> = T extends "pubkey"
  ? Account
  : T extends "u64" | "u128"
    ? bigint
    : T extends "bool"
      ? boolean
      : T extends "string"
        ? string
        : number;

export type EventOf<K extends EventKind> = { readonly kind: K } & {
  readonly [F in (typeof LAYOUTS)[K][number] as F[0]]: ValueOf<F[1]>;
};

export type MarketEvent = { [K in EventKind]: EventOf<K> }[EventKind];

/** Fields that the program's upgrade gives to `buy_sell`: 40 bytes. Nothing in the truth depends on them. */
export const GROWN_FIELDS = [
  ["fee_lamports", "u64"],
  ["referrer", "pubkey"],
] as const satisfies readonly Field[];

/** Where the new fields stand: behind all others, or between the token and the side, where old readers misread what follows. */
export type GrownAt = "end" | "middle";

/** `buy_sell` after the upgrade. */
export const GROWN_LAYOUTS: Readonly<Record<GrownAt, readonly Field[]>> = {
  end: [...LAYOUTS.buy_sell, ...GROWN_FIELDS],
  middle: [...LAYOUTS.buy_sell.slice(0, 2), ...GROWN_FIELDS, ...LAYOUTS.buy_sell.slice(2)],
};

/** Datasets that events land in, in the IDL's names. */
export const EVENT_DATASETS = [
  "token_created",
  "buy_sell",
  "long_short",
  "force_liquidate",
  "full_close",
  "partial_close",
  "milestone_discount",
] as const;

export type EventDataset = (typeof EVENT_DATASETS)[number];

export function datasetOf(kind: EventKind): EventDataset {
  return kind === "token_created_v0" ? "token_created" : kind;
}

/** First eight bytes of sha256("<space>:<name>"), Anchor's discriminator. */
export function anchorDiscriminator(space: "event" | "global", name: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(`${space}:${name}`).digest().subarray(0, 8));
}

/** Anchor's tag of an event that travels as the data of a self-CPI (`emit_cpi!`): sha256("anchor:event"), reversed. */
export const EMIT_CPI_TAG = Uint8Array.of(0xe4, 0x45, 0xa5, 0x2e, 0x51, 0xcb, 0x9a, 0x1d);

/** Idl name of a dataset's event: "buy_sell" is "BuySellEvent". */
export function idlName(dataset: EventDataset): string {
  return `${dataset.replace(/(^|_)(\w)/g, (_, __, letter: string) => letter.toUpperCase())}Event`;
}

export const DISCRIMINATORS: Readonly<Record<EventDataset, Uint8Array>> = Object.fromEntries(
  EVENT_DATASETS.map((name) => [name, anchorDiscriminator("event", idlName(name))]),
) as Record<EventDataset, Uint8Array>;

const U64 = (1n << 64n) - 1n;
const scratch = new Uint8Array(4096);
const view = new DataView(scratch.buffer);
const encoder = new TextEncoder();

/** Discriminator and Borsh body of an event; `grown`: as the upgraded program lays it out. */
export function encodeEvent(event: MarketEvent, grown: GrownAt | null = null): Uint8Array {
  scratch.set(DISCRIMINATORS[datasetOf(event.kind)], 0);
  const isGrown = grown !== null && event.kind === "buy_sell";
  const layout: readonly Field[] = isGrown ? GROWN_LAYOUTS[grown] : LAYOUTS[event.kind];
  const values = { ...event, ...(isGrown ? grownValues(event) : {}) } as unknown as Readonly<Record<string, unknown>>;
  let at = 8;
  for (const [name, type] of layout) at = encodeField(at, type, values[name]);
  return scratch.slice(0, at);
}

/** A fee of one percent, and the token itself for a referrer: what they are does not matter, that they are fixed does. */
function grownValues({ sol_amount, mint_account }: EventOf<"buy_sell">) {
  return { fee_lamports: sol_amount / 100n, referrer: mint_account };
}

/** Writes one value at `at` of the scratch buffer and returns where the next one goes. */
function encodeField(at: number, type: FieldType, value: unknown): number {
  switch (type) {
    case "pubkey":
      scratch.set((value as Account).key, at);
      return at + 32;
    case "bool":
      scratch[at] = value ? 1 : 0;
      return at + 1;
    case "u8":
      scratch[at] = value as number;
      return at + 1;
    case "u16":
      view.setUint16(at, value as number, true);
      return at + 2;
    case "u32":
      view.setUint32(at, value as number, true);
      return at + 4;
    case "u64":
      view.setBigUint64(at, value as bigint, true);
      return at + 8;
    case "u128":
      view.setBigUint64(at, (value as bigint) & U64, true);
      view.setBigUint64(at + 8, (value as bigint) >> 64n, true);
      return at + 16;
    case "string": {
      const { written } = encoder.encodeInto(value as string, scratch.subarray(at + 4));
      view.setUint32(at, written, true);
      return at + 4 + written;
    }
  }
}
