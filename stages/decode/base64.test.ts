/** Goal: base64 decodes to exactly the bytes that were encoded, and nothing else passes. Method: properties against Buffer. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { decodeBase64 } from "./base64.ts";

function decode(text: string): Uint8Array | null {
  const source = new TextEncoder().encode(`<${text}>`);
  const target = new Uint8Array(source.length + 3);
  const end = decodeBase64(source, 1, source.length - 1, target, 2);
  return end < 0 ? null : target.slice(2, end);
}

test("decodes what was encoded, at any offset", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(decode(Buffer.from(bytes).toString("base64"))).toEqual(bytes);
    }),
  );
});

test("accepts exactly the texts that an encoder writes", () => {
  const character = fc.constantFrom(..."AZaz09+/=-_ \n");
  fc.assert(
    fc.property(fc.string({ unit: character, maxLength: 12 }), (text) => {
      const canonical = Buffer.from(text, "base64").toString("base64");
      expect(decode(text) !== null).toBe(canonical === text);
    }),
    { numRuns: 2000 },
  );
});

test.each(["A", "AB", "ABC", "AB=C", "A===", "====", "AB==AB==", "ABC=ABCD", "AA\u00e9A", "AB C", "YWJj\n"])(
  "refuses %p",
  (text) => {
    expect(decode(text)).toBeNull();
  },
);
