/** Base58 by words. Goal: the same text as the reference encoder for every value, leading zeros included, and back. */
import { expect, test } from "bun:test";
import bs58 from "bs58";
import fc from "fast-check";
import { base58, fromBase58 } from "./base58.ts";

for (const size of [32, 64] as const) {
  test(`${size} bytes read as the reference encoder writes them`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: size, maxLength: size }), fc.nat({ max: size }), (bytes, zeros) => {
        bytes.fill(0, 0, zeros);
        expect(base58(bytes, 0, size)).toBe(bs58.encode(bytes));
        expect(fromBase58(bs58.encode(bytes), size)).toEqual(bytes);
      }),
      { numRuns: 500 },
    );
  });

  test(`${size} bytes of one value, where the carries are largest and smallest`, () => {
    for (const value of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
      const bytes = new Uint8Array(size).fill(value);
      expect(base58(bytes, 0, size)).toBe(bs58.encode(bytes));
      expect(fromBase58(bs58.encode(bytes), size)).toEqual(bytes);
    }
  });

  test(`what is not ${size} bytes is refused`, () => {
    const texts = [size - 1, size + 1].flatMap((n) => [new Uint8Array(n), new Uint8Array(n).fill(255)]);
    for (const bytes of texts) expect(() => fromBase58(bs58.encode(bytes), size)).toThrow(RangeError);
    expect(() => fromBase58("0".repeat(size), size)).toThrow("not base58");
    expect(() => fromBase58("é".repeat(size), size)).toThrow("not base58");
    expect(() => fromBase58("", size)).toThrow(RangeError);
    expect(() => fromBase58("z".repeat(200), size)).toThrow(RangeError);
  });
}

test("a value is read from its place in a longer buffer", () => {
  const bytes = Uint8Array.from({ length: 160 }, (_, i) => (i * 37 + 11) & 0xff);
  expect(base58(bytes, 33, 32)).toBe(bs58.encode(bytes.subarray(33, 65)));
  expect(base58(bytes, 65, 64)).toBe(bs58.encode(bytes.subarray(65, 129)));
});

test("known addresses", () => {
  expect(base58(new Uint8Array(32), 0, 32)).toBe("11111111111111111111111111111111");
  const wrappedSol = "So11111111111111111111111111111111111111112";
  expect(base58(bs58.decode(wrappedSol), 0, 32)).toBe(wrappedSol);
});
