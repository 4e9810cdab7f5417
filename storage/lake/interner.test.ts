/** Interning. Goal: equal bytes have one id and others another, whatever their number. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Interner } from "./interner.ts";
import { bytesOf } from "./rows-fixture.ts";

test("ids count from 0 in the order of first sight, and give the bytes back", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 4 }), { maxLength: 60 }), (values) => {
      const interner = new Interner();
      const known = new Map<string, number>();
      for (const value of values) {
        const text = value.join();
        if (!known.has(text)) known.set(text, known.size);
        const padded = new Uint8Array([1, ...value, 2]);
        expect(interner.id(padded, 1, padded.length - 1)).toBe(known.get(text)!);
        expect([...interner.get(known.get(text)!)]).toEqual([...value]);
      }
      expect(interner.size).toBe(known.size);
    }),
  );
});

test("many more than it begins with", () => {
  const interner = new Interner();
  const values = Array.from({ length: 20_000 }, (_, n) => bytesOf(n, 32));
  const ids = values.map((v) => interner.id(v, 0, 32));
  expect(new Set(ids).size).toBe(new Set(values.map((v) => v.join())).size);
  expect(values.map((v) => interner.id(v, 0, 32))).toEqual(ids);
});
