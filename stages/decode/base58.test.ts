/** Goal: values of others are read and written exactly, and never cost more than they are worth. Method: against bs58, and by length. */
import { expect, test } from "bun:test";
import bs58 from "bs58";
import fc from "fast-check";
import { BASE58_BYTES_MAX, base58Bytes, base58Text } from "./base58.ts";

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

test("addresses and signatures are what bs58 says, and of their size only", () => {
  fc.assert(
    fc.property(bytes(32), bytes(64), (address, signature) => {
      expect(base58Bytes(bs58.encode(address), 32)).toEqual(address);
      expect(base58Bytes(bs58.encode(signature), 64)).toEqual(signature);
      expect(base58Bytes(bs58.encode(signature), 32)).toBeNull();
      expect(base58Bytes(bs58.encode(address), 64)).toBeNull();
    }),
  );
  for (const edge of [new Uint8Array(32), new Uint8Array(32).fill(255)]) {
    expect(base58Bytes(bs58.encode(edge), 32)).toEqual(edge);
  }
  for (const none of ["", "0", "O0Il", "1".repeat(31), "z".repeat(45)]) expect(base58Bytes(none, 32)).toBeNull();
});

test("a text of a million characters is none, at once", () => {
  expect(base58Bytes("z".repeat(1_000_000), 64)).toBeNull();
});

test("long values are hex, and cannot be taken for base58", () => {
  const longest = new Uint8Array(BASE58_BYTES_MAX).fill(7);
  expect(bs58.decode(base58Text(longest))).toEqual(longest);
  const longer = new Uint8Array(1_000_000).fill(0xab);
  expect(base58Text(longer)).toBe(`0x${"ab".repeat(1_000_000)}`);
  expect(() => bs58.decode(base58Text(longer.subarray(0, 300)))).toThrow();
});
