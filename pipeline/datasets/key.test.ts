/** Goal: keys are exact and sort as their rows do. Method: properties over the whole range of each key type. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CANDLES } from "./candles.ts";
import { keyCells, keyPart, rowKey } from "./key.ts";
import { USER_EVENTS } from "./user_events.ts";

const address = fc.uint8Array({ minLength: 32, maxLength: 32 });
const u32 = fc.nat({ max: 0xffffffff });
const i64 = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n });
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });

describe("row keys", () => {
  test("give back the key columns", () => {
    fc.assert(
      fc.property(address, u32, i64, (mint, interval, time) => {
        expect(keyCells(CANDLES, rowKey(CANDLES, { mint, interval, time }))).toEqual([mint, interval, time]);
      }),
    );
    fc.assert(
      fc.property(address, u64, u32, u32, (user, slot, tx_index, event_index) => {
        const key = rowKey(USER_EVENTS, { user, slot, tx_index, event_index });
        expect(keyCells(USER_EVENTS, key)).toEqual([user, slot, tx_index, event_index]);
      }),
    );
  });

  test("sort as the values do", () => {
    const order = <T>(a: T, b: T) => (a < b ? -1 : a > b ? 1 : 0);
    fc.assert(fc.property(i64, i64, (a, b) => expect(order(keyPart("i64", a), keyPart("i64", b))).toBe(order(a, b))));
    fc.assert(fc.property(u64, u64, (a, b) => expect(order(keyPart("u64", a), keyPart("u64", b))).toBe(order(a, b))));
  });

  test("numbers and bigints of one value make one key", () => {
    expect(keyPart("i64", 1_726_627_853)).toBe(keyPart("i64", 1_726_627_853n));
  });

  test("refuse what cannot be a key", () => {
    expect(() => keyPart("utf8", 1)).toThrow(TypeError);
    expect(() => keyPart("bytes32", new Uint8Array(31))).toThrow(RangeError);
    expect(() => rowKey(CANDLES, { mint: new Uint8Array(32) })).toThrow();
  });
});
