/** A trade mapping resolved against one layout: from a located event straight into a row of `trades`. */
import { PRICE_SCALE } from "../../pipeline/datasets/trades.ts";
import { Fatal } from "../../pipeline/errors.ts";
import type { ColumnBuilder } from "../../pipeline/wire/table.ts";
import { ABSENT, type Layout, type Leaf } from "./layout.ts";
import type { PriceMapping, TradeMapping } from "./program.ts";
import { ADDRESS_BYTES } from "./program-set.ts";

const U128_END = 1n << 128n;

/** A leaf that is an unsigned little-endian integer. */
interface UintField {
  readonly leaf: number;
  readonly size: number;
}

/** A constant, or a leaf and the byte in it that means a buy, or none. */
type Side = boolean | { readonly leaf: number; readonly buy: number } | null;

/** A leaf that is the price already, or how to compute it; null when there is none. */
type Price = UintField | ((bytes: Uint8Array) => bigint | null);

export class LayoutTrade {
  private readonly layout: Layout;
  private readonly kind: string;
  private readonly user: number;
  private readonly side: Side;
  private readonly base: UintField | null;
  private readonly quote: UintField | null;
  private readonly price: Price;
  private computed: bigint | null = null;
  private readonly widened = new Uint8Array(16);

  /** `where` names program and event for errors: a mapping that does not fit the layout is `Fatal`. */
  constructor(layout: Layout, mapping: TradeMapping, kind: string, where: string) {
    const fields = new FieldFinder(layout, where);
    this.layout = layout;
    this.kind = mapping.kind ?? kind;
    this.user = fields.find(mapping.user, (leaf) => leaf.column.type === "bytes32", "an address");
    this.side = sideOf(mapping.isBuy, fields);
    this.base = mapping.baseAmount === undefined ? null : fields.uint(mapping.baseAmount, 8);
    this.quote = mapping.quoteAmount === undefined ? null : fields.uint(mapping.quoteAmount, 8);
    this.price = priceOf(layout, mapping.price, fields);
  }

  /** True when the event located last has a user and a price; without, it makes no trade. Comes before `append`. */
  prepare(bytes: Uint8Array): boolean {
    if (this.layout.at[this.user] === ABSENT) return false;
    if (typeof this.price !== "function") return this.layout.at[this.price.leaf] !== ABSENT;
    this.computed = this.price(bytes);
    return this.computed !== null;
  }

  /** Fills the own columns of `trades`, in their order, from `columns[first]` on. */
  append(bytes: Uint8Array, columns: readonly ColumnBuilder[], first: number): void {
    const user = this.layout.at[this.user]!;
    columns[first]!.string(this.kind);
    columns[first + 1]!.bytes(bytes, user, user + ADDRESS_BYTES);
    this.appendSide(bytes, columns[first + 2]!);
    this.appendUint(bytes, this.base, columns[first + 3]!, 8);
    this.appendUint(bytes, this.quote, columns[first + 4]!, 8);
    if (typeof this.price === "function") columns[first + 5]!.bigint(this.computed!);
    else this.appendUint(bytes, this.price, columns[first + 5]!, 16);
  }

  private appendSide(bytes: Uint8Array, column: ColumnBuilder): void {
    const side = this.side;
    if (typeof side === "boolean") column.number(side ? 1 : 0);
    else if (side === null || this.layout.at[side.leaf] === ABSENT) column.null();
    else column.number(bytes[this.layout.at[side.leaf]!] === side.buy ? 1 : 0);
  }

  /** Little endian on both sides: a wider column takes the bytes and zeros after them. */
  private appendUint(bytes: Uint8Array, field: UintField | null, column: ColumnBuilder, width: 8 | 16): void {
    const at = field === null ? ABSENT : this.layout.at[field.leaf]!;
    if (field === null || at === ABSENT) column.null();
    else if (field.size === width) column.bytes(bytes, at, at + width);
    else {
      this.widened.fill(0);
      this.widened.set(bytes.subarray(at, at + field.size));
      column.bytes(this.widened, 0, width);
    }
  }
}

function sideOf(mapping: TradeMapping["isBuy"], fields: FieldFinder): Side {
  if (mapping === undefined) return null;
  if (typeof mapping === "boolean") return mapping;
  if (typeof mapping === "string") {
    return { leaf: fields.find(mapping, (leaf) => leaf.column.type === "bool", "a bool"), buy: 1 };
  }
  const leaf = fields.find(mapping.field, (l) => l.form.kind === "variant", "an enum without payload");
  const form = fields.layout.leaves[leaf]!.form;
  const buy = form.kind === "variant" ? form.names.indexOf(mapping.equals) : -1;
  if (buy < 0) throw fields.broken(`${mapping.field} has no variant ${mapping.equals}`);
  return { leaf, buy };
}

function priceOf(layout: Layout, mapping: PriceMapping, fields: FieldFinder): Price {
  if (typeof mapping === "string") return fields.uint(mapping, 16);
  const quote = fields.uint(mapping.quote, 16);
  const base = fields.uint(mapping.base, 16);
  const up = PRICE_SCALE * 10n ** BigInt(mapping.baseDecimals);
  const down = 10n ** BigInt(mapping.quoteDecimals);
  return (bytes) => {
    const quoteUnits = readUint(layout, quote, bytes);
    const baseUnits = readUint(layout, base, bytes);
    if (quoteUnits === null || baseUnits === null || baseUnits === 0n) return null;
    const price = (quoteUnits * up) / (baseUnits * down);
    return price < U128_END ? price : null;
  };
}

function readUint(layout: Layout, field: UintField, bytes: Uint8Array): bigint | null {
  const at = layout.at[field.leaf]!;
  if (at === ABSENT) return null;
  let value = 0n;
  for (let to = field.size; to > 0; to -= 4) {
    const from = Math.max(0, to - 4);
    let part = 0;
    for (let i = to - 1; i >= from; i--) part = part * 256 + bytes[at + i]!;
    value = (value << BigInt(8 * (to - from))) | BigInt(part);
  }
  return value;
}

class FieldFinder {
  readonly layout: Layout;
  private readonly where: string;

  constructor(layout: Layout, where: string) {
    this.layout = layout;
    this.where = where;
  }

  find(path: string, fits: (leaf: Leaf) => boolean, what: string): number {
    const index = this.layout.indexOf(path);
    if (index < 0) throw this.broken(`there is no field ${path}`);
    if (!fits(this.layout.leaves[index]!)) throw this.broken(`${path} is not ${what}`);
    return index;
  }

  uint(path: string, maxSize: 8 | 16): UintField {
    const types = maxSize === 8 ? ["u8", "u16", "u32", "u64"] : ["u8", "u16", "u32", "u64", "u128"];
    const leaf = this.find(
      path,
      (l) => types.includes(l.column.type),
      `an unsigned integer of at most ${maxSize} bytes`,
    );
    return { leaf, size: this.layout.leaves[leaf]!.codec.fixed! };
  }

  broken(message: string): Fatal {
    return new Fatal("TRADE_MAPPING", `the trade mapping does not fit: ${message}`, {
      where: this.where,
      hint: "Every layout of the event needs the mapped fields; name them by path, as in the event.",
    });
  }
}
