/**
 * What a transaction says about the tokens that it touched: `pre_token_balances` and `post_token_balances` name mint and
 * decimals of every token account that existed before or after it. So decimals are read, not guessed, and a plain SPL
 * transfer, which names accounts only, gets its token.
 * Layout: `sf.solana.type.v1.TokenBalance`.
 */
import { base58Bytes } from "./base58.ts";
import type { BlockReader } from "./block-reader.ts";
import { ADDRESS_BYTES } from "./program-set.ts";
import { bytesTag, ProtobufReader, varintTag } from "./protobuf-reader.ts";

const BALANCE = { accountIndex: varintTag(1), mint: bytesTag(2), amount: bytesTag(3) } as const;
const AMOUNT = { decimals: varintTag(2) } as const;
/**
 * Passes over the balance at `[start, end)` as reading it will. Throws `Poison` when it is broken: balances are read when
 * a decoder asks for them, and then it is too late to set the block aside.
 */
export function checkBalance(r: ProtobufReader, start: number, end: number): void {
  const { end: outermost } = r;
  r.pos = start;
  r.end = end;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag !== BALANCE.amount) r.skip(tag);
    else {
      const outer = r.open();
      for (let inner = r.tag(); inner !== 0; inner = r.tag()) r.skip(inner);
      r.close(outer);
    }
  }
  r.end = outermost;
}

/** More mints than any day trades; beyond it the memory starts anew. */
const REMEMBERED_MAX = 100_000;

export class TokenBalances {
  private readonly block: BlockReader;
  private readonly reader = new ProtobufReader();
  private transaction = -1;
  /** Mint by index of the token account's key. */
  private readonly mintOf = new Map<number, Uint8Array>();
  private readonly decimalsOf = new Map<string, number>();
  private readonly decoded = new Map<string, Uint8Array>();

  constructor(block: BlockReader) {
    this.block = block;
  }

  /** What was read of the block before counts no more. */
  startBlock(): void {
    this.transaction = -1;
  }

  /** Mint of the token account at that index of transaction `t`, or null. */
  mintOfAccount(t: number, keyIndex: number): Uint8Array | null {
    this.read(t);
    return this.mintOf.get(keyIndex) ?? null;
  }

  /** Decimals of the mint at `bytes[at, + 32)`, where transaction `t` names them; else null. */
  decimals(t: number, bytes: Uint8Array, at: number): number | null {
    this.read(t);
    return this.decimalsOf.get(keyOf(bytes, at)) ?? null;
  }

  private read(t: number): void {
    if (this.transaction === t) return;
    this.transaction = t;
    this.mintOf.clear();
    this.decimalsOf.clear();
    const { balanceFrom, balanceStart, balanceEnd, bytes } = this.block;
    for (let i = balanceFrom.at(t); i < balanceFrom.at(t + 1); i++) {
      this.readOne(bytes, balanceStart.at(i), balanceEnd.at(i));
    }
  }

  private readOne(bytes: Uint8Array, start: number, end: number): void {
    const r = this.reader;
    r.bytes = bytes;
    r.pos = start;
    r.end = end;
    let account = 0;
    let decimals = 0;
    let mint: Uint8Array | null = null;
    for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
      if (tag === BALANCE.accountIndex) account = r.varint();
      else if (tag === BALANCE.mint) {
        const to = r.value();
        mint = this.address(Buffer.from(bytes.buffer, bytes.byteOffset + r.pos, to - r.pos).toString("latin1"));
        r.pos = to;
      } else if (tag === BALANCE.amount) {
        const outer = r.open();
        for (let inner = r.tag(); inner !== 0; inner = r.tag()) {
          if (inner === AMOUNT.decimals) decimals = r.varint();
          else r.skip(inner);
        }
        r.close(outer);
      } else r.skip(tag);
    }
    if (mint === null) return;
    this.mintOf.set(account, mint);
    this.decimalsOf.set(keyOf(mint, 0), decimals);
  }

  private address(text: string): Uint8Array | null {
    const known = this.decoded.get(text);
    if (known !== undefined) return known;
    const address = base58Bytes(text, ADDRESS_BYTES);
    if (address === null) return null;
    if (this.decoded.size >= REMEMBERED_MAX) this.decoded.clear();
    this.decoded.set(text, address);
    return address;
  }
}

function keyOf(bytes: Uint8Array, at: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, ADDRESS_BYTES).toString("latin1");
}
