/** Base58 by words. Goal: the same text as the reference encoder for every value, leading zeros included. */
import { expect, test } from "bun:test";
import bs58 from "bs58";
import fc from "fast-check";
import { base58 } from "./base58.ts";

for (const size of [32, 64] as const) {
  test(`${size} bytes read as the reference encoder writes them`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: size, maxLength: size }), fc.nat({ max: size }), (bytes, zeros) => {
        bytes.fill(0, 0, zeros);
        expect(base58(bytes, 0, size)).toBe(bs58.encode(bytes));
      }),
      { numRuns: 500 },
    );
  });

  test(`${size} bytes of one value, where the carries are largest and smallest`, () => {
    for (const value of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
      const bytes = new Uint8Array(size).fill(value);
      expect(base58(bytes, 0, size)).toBe(bs58.encode(bytes));
    }
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
